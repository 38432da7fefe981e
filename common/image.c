/* Makes the image record from /proc/self/maps and ELF headers. Start-up code and writer; no loader
 * lock is taken (dl_iterate_phdr's and fork do not mix), nothing of the program's is read directly. */
#include "common/image.h"

#include <errno.h>

#include "common/maps.h"
#include "common/sys.h"
#include "common/text.h"
#include "common/text_cache.h"

#define PAGE       4096u
#define HUGE_PAGE  (2ull << 20)
#define RANGES_MAX 8192u

const struct hpp_unwind_table hpp_unwind_no_table = {.rules = 1, .rule = {{.cfa = HPP_CFA_NONE}}};

/* A scan in progress. */
struct scan {
    struct hpp_arena *arena;
    struct hpp_arena *map_arena;
    const struct hpp_code_map *before;
    struct hpp_code_range *ranges;
    uint32_t count;
    uint32_t capacity;
    uint32_t serials;
    int changed;
    /* the last mapping of a file's offset 0: where its ELF header lies */
    uint64_t header;
    uint64_t device;
    uint64_t inode;
    char path[4096];
};

static int add_range(struct scan *scan, const struct hpp_segment *segment)
{
    if (scan->count == scan->capacity) {
        uint32_t capacity = scan->capacity ? scan->capacity * 2 : 64;
        struct hpp_code_range *ranges;
        if (capacity > RANGES_MAX)
            return -E2BIG;
        ranges = hpp_arena_allocate(scan->map_arena, capacity * sizeof *ranges);
        if (!ranges)
            return -ENOMEM;
        for (uint32_t i = 0; i < scan->count; i++)
            ranges[i] = scan->ranges[i];
        scan->ranges = ranges;
        scan->capacity = capacity;
    }
    scan->ranges[scan->count++] = (struct hpp_code_range){segment->start, segment->end, segment};
    return 0;
}

static struct hpp_image *new_image(struct scan *scan, enum hpp_image_kind kind, const char *path,
                                   const struct hpp_maps_line *line)
{
    struct hpp_image *image = hpp_arena_allocate(scan->arena, sizeof *image);

    if (!image)
        return NULL;
    image->kind = kind;
    image->path = hpp_arena_copy(scan->arena, path);
    image->device = line->device;
    image->inode = line->inode;
    return image->path ? image : NULL;
}

static int add_segment(struct scan *scan, const struct hpp_image *image, uint64_t start, uint64_t end,
                       uint64_t file_offset, uint64_t file_end, uint64_t link)
{
    struct hpp_segment *segment = hpp_arena_allocate(scan->arena, sizeof *segment);

    if (!segment)
        return -ENOMEM;
    segment->image = image;
    segment->start = start;
    segment->end = end;
    segment->file_offset = file_offset;
    segment->file_end = file_end;
    segment->link = link;
    segment->serial = scan->serials++;
    if (image->kind == HPP_IMAGE_ANONYMOUS)
        segment->table = &hpp_unwind_no_table;
    scan->changed = 1;
    return add_range(scan, segment);
}

/* Whether scan->header is of the file that LINE maps. */
static int has_header(const struct scan *scan, const struct hpp_maps_line *line)
{
    return scan->header && scan->device == line->device && scan->inode == line->inode &&
           hpp_text_equal(scan->path, line->path);
}

/* Reads the header of the ELF file that LINE maps and IMAGE is: in memory if it is mapped, else in the
 * file. */
static int read_header(const struct scan *scan, const struct hpp_maps_line *line, struct hpp_image *image,
                       struct hpp_elf_header *header)
{
    struct hpp_elf_source source = {0, -1};
    int error = -ENOEXEC;

    if (image->kind == HPP_IMAGE_VDSO) {
        source.memory = image->header = line->start;
        return hpp_elf_header_read(&source, header);
    }
    if (has_header(scan, line)) {
        source.memory = scan->header;
        error = hpp_elf_header_read(&source, header);
        image->header = error ? 0 : scan->header;
    }
    /* Opening a device, or a memfd's name, would open something else. */
    if (error && line->inode && !hpp_text_after(line->path, "/dev/") &&
        !hpp_text_after(line->path, "/memfd:")) {
        source.memory = 0;
        source.fd = (int)hpp_sys_open(line->path, O_RDONLY | O_NONBLOCK, 0);
        if (source.fd < 0)
            return source.fd;
        error = hpp_elf_header_read(&source, header);
        hpp_sys_close(source.fd);
    }
    return error;
}

/* Whether segment S at START is where its file was loaded: as far from the file's beginning as HEADER says.
 * If not, LINE is a further mapping of some of it, as V8 makes one of its code nearer to what it compiles. */
static int is_loaded_at(const struct scan *scan, const struct hpp_maps_line *line,
                        const struct hpp_elf_header *header, const struct hpp_elf_segment *s, uint64_t start)
{
    return has_header(scan, line) && start - scan->header == s->address - header->base;
}

/* Adds all executable segments of the file that LINE belongs to. */
static int add_file(struct scan *scan, const struct hpp_maps_line *line)
{
    struct hpp_elf_header header;
    enum hpp_image_kind kind = hpp_text_equal(line->path, "[vdso]") ? HPP_IMAGE_VDSO : HPP_IMAGE_FILE;
    struct hpp_image *image = new_image(scan, kind, line->path, line);
    int found = 0, error;

    if (!image)
        return -ENOMEM;
    if (read_header(scan, line, image, &header))
        header = (struct hpp_elf_header){0};
    image->build_id_size = header.build_id_size;
    for (unsigned i = 0; i < header.build_id_size; i++)
        image->build_id[i] = header.build_id[i];
    for (unsigned i = 0; i < header.count; i++) {
        const struct hpp_elf_segment *s = &header.executable[i];
        uint64_t before = s->offset & (PAGE - 1), offset = s->offset - before;
        uint64_t size = (s->memory_size + before + PAGE - 1) & ~(uint64_t)(PAGE - 1);
        uint64_t start, into = line->offset - offset;
        /* The line says where this file's bytes lie; the segment it is part of has the same distance. */
        if (line->offset < offset || into >= size)
            continue;
        start = line->start - into;
        if (kind == HPP_IMAGE_FILE && !is_loaded_at(scan, line, &header, s, start + before)) {
            image->header = 0;
            return add_segment(scan, image, line->start, line->end, line->offset, line->end,
                               s->address - before + into);
        }
        error = add_segment(scan, image, start, start + size, offset, start + before + s->file_size,
                            s->address - before);
        if (error)
            return error;
        found = 1;
    }
    /* Not an ELF file, or mapped by someone with ideas of his own: the line itself. */
    return found ? 0 : add_segment(scan, image, line->start, line->end, line->offset, line->end, 0);
}

/* Whether SEGMENT, known before, is what LINE still maps. */
static int is_same(const struct hpp_segment *segment, const struct hpp_maps_line *line)
{
    const struct hpp_image *image = segment->image;

    if (hpp_text_after(line->path, "[anon:") || !line->path[0])
        return segment->moved || image->kind == HPP_IMAGE_ANONYMOUS;
    /* what the remap's backends leave in its place */
    if (segment->moved &&
        (hpp_text_after(line->path, "/memfd:") || hpp_text_equal(line->path, "/anon_hugepage") ||
         hpp_text_cache_is_copy(line->path, image->build_id, image->build_id_size)))
        return 1;
    /* of one that was moved no line is whole: it was loaded anew, where it had been */
    if (segment->moved && line->start <= segment->start && line->end >= segment->file_end)
        return 0;
    return image->device == line->device && image->inode == line->inode &&
           hpp_text_equal(image->path, line->path) &&
           (image->kind == HPP_IMAGE_VDSO ||
            line->offset - segment->file_offset == line->start - segment->start);
}

/* At the start, notes what must not be moved: text that is writable, also by another mapping, that may not be
 * read, or that is partly not the file's. */
static void note_altered(struct scan *scan, const struct hpp_maps_line *line)
{
    for (uint32_t i = scan->before ? scan->count : 0; i < scan->count; i++) {
        struct hpp_segment *segment = (struct hpp_segment *)scan->ranges[i].segment;
        if (line->start < segment->end && line->end > segment->start &&
            (line->writable || line->shared || !line->readable || !line->executable ||
             !is_same(segment, line)))
            segment->altered = 1;
    }
}

/* What text that was moved has absorbed below it is no code: LINE begins behind that. */
static void pass_absorbed(const struct scan *scan, struct hpp_maps_line *line)
{
    const struct hpp_code_map *before = scan->before;

    for (uint32_t i = 0; before && i < before->count; i++) {
        const struct hpp_segment *segment = before->ranges[i].segment;
        if (segment->absorbed && line->start < segment->start &&
            line->start >= (segment->start & ~(HUGE_PAGE - 1)) && is_same(segment, line))
            line->start = segment->start;
    }
}

static int add_line(struct scan *scan, struct hpp_maps_line *line)
{
    struct hpp_image *image;

    for (;;) {
        const struct hpp_code_range *known, *last = scan->count ? &scan->ranges[scan->count - 1] : NULL;
        if (last && line->start < last->end) {
            /* a further piece of the segment just added; but code made at run time may have grown */
            if (line->end <= last->end || last->segment->image->kind != HPP_IMAGE_ANONYMOUS)
                return 0;
            line->start = last->end;
        }
        pass_absorbed(scan, line);
        if (line->start >= line->end)
            return 0;
        known = hpp_image_find(scan->before, line->start);
        if (!known || !is_same(known->segment, line))
            break;
        int error = add_range(scan, known->segment);
        if (error)
            return error;
    }
    if (line->path[0] == '/' || hpp_text_equal(line->path, "[vdso]"))
        return add_file(scan, line);
    if (line->path[0] == '[' && !hpp_text_after(line->path, "[anon:"))
        return 0; /* [vsyscall], an executable [stack] or [heap] */
    image = new_image(scan, HPP_IMAGE_ANONYMOUS, "//anon", line);
    return image ? add_segment(scan, image, line->start, line->end, 0, line->end, 0) : -ENOMEM;
}

/* The main program's segment gets serial 0. */
static void put_main_first(struct scan *scan, uint64_t main_address)
{
    for (uint32_t i = 0; i < scan->count; i++) {
        struct hpp_segment *main = (struct hpp_segment *)scan->ranges[i].segment;
        if (main_address < main->start || main_address >= main->end)
            continue;
        for (uint32_t j = 0; j < scan->count; j++) {
            struct hpp_segment *other = (struct hpp_segment *)scan->ranges[j].segment;
            if (other->serial < main->serial)
                other->serial++;
        }
        main->serial = 0;
        return;
    }
}

static int publish(struct scan *scan, const struct hpp_code_map **result)
{
    struct hpp_code_map *map;

    if (scan->before && !scan->changed && scan->count == scan->before->count) {
        *result = scan->before;
        return 0;
    }
    map = hpp_arena_allocate(scan->map_arena, sizeof *map + scan->count * sizeof map->ranges[0]);
    if (!map)
        return -ENOMEM;
    map->generation = scan->before ? scan->before->generation + 1 : 1;
    map->count = scan->count;
    map->serials = scan->serials;
    for (uint32_t i = 0; i < scan->count; i++)
        map->ranges[i] = scan->ranges[i];
    *result = map;
    return 0;
}

int hpp_image_scan(struct hpp_arena *arena, struct hpp_arena *map_arena, const struct hpp_code_map *before,
                   uint64_t main_address, const struct hpp_code_map **map)
{
    struct hpp_maps maps;
    struct hpp_maps_line line;
    struct scan *scan = hpp_arena_allocate(map_arena, sizeof *scan);
    int more, error;

    if (!scan)
        return -ENOMEM;
    scan->arena = arena;
    scan->map_arena = map_arena;
    scan->before = before;
    scan->serials = before ? before->serials : 0;
    error = hpp_maps_open(&maps);
    if (error)
        return error;
    while ((more = hpp_maps_next(&maps, &line)) > 0 && !error) {
        if (line.inode && line.offset == 0) {
            struct hpp_text path = HPP_TEXT(scan->path);
            hpp_text_put(&path, line.path);
            scan->header = line.readable ? line.start : 0;
            scan->device = line.device;
            scan->inode = line.inode;
        }
        if (line.executable)
            error = add_line(scan, &line);
        note_altered(scan, &line);
    }
    hpp_maps_close(&maps);
    if (error || more < 0)
        return error ? error : more;
    if (!before)
        put_main_first(scan, main_address);
    return publish(scan, map);
}
