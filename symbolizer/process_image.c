/* One ELF file that another process has mapped. Offline only. */
#include "symbolizer/process_image.h"
#include "symbolizer/profile.h"
#include "symbolizer/symbolize.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64, NOTES_MAX = 4096 };

/* A piece of the file, kept because unwinding reads word by word. */
struct hpp_process_page {
    uint64_t number; /* plus 1; 0: empty */
    uint8_t bytes[PAGE];
};

static void read_segments(struct hpp_process_image *image)
{
    GElf_Phdr header;
    size_t count = 0;

    elf_getphdrnum(image->file.elf, &count);
    for (size_t i = 0; i < count && image->segment_count < HPP_PROCESS_SEGMENTS; i++) {
        if (!gelf_getphdr(image->file.elf, (int)i, &header))
            break;
        if (header.p_type == PT_LOAD)
            image->segments[image->segment_count++] = header;
        if (header.p_type == PT_GNU_EH_FRAME)
            image->header = header.p_vaddr;
    }
}

/* The segment that MAPPING shows. Two may share the page at which they meet: the one that begins with the
 * mapping goes first. */
static const GElf_Phdr *segment_of(const struct hpp_process_image *image,
                                   const struct hpp_process_mapping *mapping)
{
    const GElf_Phdr *best = NULL;

    for (unsigned i = 0; i < image->segment_count; i++) {
        const GElf_Phdr *s = &image->segments[i];
        uint64_t start = s->p_offset & ~(uint64_t)(PAGE - 1);
        if (mapping->offset < start || mapping->offset >= s->p_offset + s->p_filesz ||
            mapping->executable != !!(s->p_flags & PF_X))
            continue;
        if (!best || mapping->offset == start)
            best = s;
    }
    return best;
}

/* Compares build-ids, that of the process's memory and that of the file: 1 equal, 0 different, -1 cannot
 * tell. */
static int same_build_id(const struct hpp_process_image *image, pid_t pid)
{
    uint8_t notes[NOTES_MAX];
    char text[HPP_BUILD_ID_TEXT];
    GElf_Phdr header;
    size_t count = 0;

    elf_getphdrnum(image->file.elf, &count);
    for (size_t i = 0; *image->file.build_id && i < count; i++) {
        struct iovec to = {notes, sizeof notes}, from;
        Elf64_Nhdr note;
        if (!gelf_getphdr(image->file.elf, (int)i, &header) || header.p_type != PT_NOTE)
            continue;
        to.iov_len = header.p_filesz < sizeof notes ? header.p_filesz : sizeof notes;
        from = (struct iovec){(void *)(image->bias + header.p_vaddr), to.iov_len};
        if (process_vm_readv(pid, &to, 1, &from, 1, 0) != (ssize_t)to.iov_len)
            continue;
        for (size_t at = 0; at + sizeof note + 4 <= to.iov_len;) {
            size_t description, align = header.p_align == 8 ? 7 : 3;
            memcpy(&note, notes + at, sizeof note);
            description = (at + sizeof note + note.n_namesz + align) & ~align;
            if (note.n_descsz > to.iov_len || description > to.iov_len - note.n_descsz)
                break;
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                !memcmp(notes + at + sizeof note, "GNU", 4) && note.n_descsz < HPP_BUILD_ID_TEXT / 2) {
                for (size_t byte = 0; byte < note.n_descsz; byte++)
                    snprintf(text + 2 * byte, 3, "%02x", notes[description + byte]);
                return !strcmp(text, image->file.build_id);
            }
            at = (description + note.n_descsz + align) & ~align;
        }
    }
    return -1;
}

/* Opens image->path, if that is the file that the process has mapped. */
static bool open_file(struct hpp_process_image *image, pid_t pid)
{
    const struct hpp_process_mapping *mapping = image->mapping;
    bool vdso = !strcmp(mapping->path, "[vdso]");
    const GElf_Phdr *segment;
    struct stat status;
    int same;

    image->segment_count = 0;
    image->header = 0;
    if (vdso ? hpp_elf_open_vdso(&image->file) : hpp_elf_open(&image->file, image->path))
        return false;
    read_segments(image);
    segment = segment_of(image, mapping);
    if (segment) {
        image->bias = mapping->start - mapping->offset + segment->p_offset - segment->p_vaddr;
        same = same_build_id(image, pid);
        if (same < 0)
            same = vdso || (!fstat(image->file.descriptor, &status) && status.st_ino == mapping->inode &&
                            ((uint64_t)major(status.st_dev) << 32 | minor(status.st_dev)) == mapping->device);
        if (same)
            return true;
    }
    hpp_elf_close(&image->file);
    return false;
}

/* A file that is no ELF file, or is out of reach: the line of the map. */
static void use_line(struct hpp_process_image *image)
{
    const struct hpp_process_mapping *mapping = image->mapping;

    image->bias = mapping->start;
    image->header = 0;
    image->segment_count = 1;
    image->segments[0] = (GElf_Phdr){.p_offset = mapping->offset,
                                     .p_memsz = mapping->end - mapping->start,
                                     .p_flags = mapping->executable ? PF_X : PF_R};
}

struct hpp_process_image *hpp_process_image_open(const struct hpp_process_mapping *mapping, pid_t pid,
                                                 int root)
{
    struct hpp_process_image *image = hpp_memory_get(sizeof *image);

    image->mapping = mapping;
    if (root >= 0 && mapping->path[0] == '/')
        snprintf(image->path, sizeof image->path, "/proc/self/fd/%d%s", root, mapping->path);
    else
        snprintf(image->path, sizeof image->path, "%s", mapping->path);
    image->usable = open_file(image, pid);
    if (!image->usable && mapping->path[0] == '/') {
        /* the file itself, although its name is gone or is another's now; not everyone may */
        snprintf(image->path, sizeof image->path, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid,
                 mapping->start, mapping->end);
        image->usable = open_file(image, pid);
    }
    if (!image->usable)
        use_line(image);
    return image;
}

void hpp_process_image_free(struct hpp_process_image *image)
{
    if (image->usable)
        hpp_elf_close(&image->file);
    hpp_symbols_free(&image->symbols);
    hpp_frame_table_free(&image->frames);
    free(image->pages);
    free(image);
}

const GElf_Phdr *hpp_process_image_segment(const struct hpp_process_image *image, uint64_t address)
{
    for (unsigned i = 0; i < image->segment_count; i++)
        if (address - image->bias - image->segments[i].p_vaddr < image->segments[i].p_memsz)
            return &image->segments[i];
    return NULL;
}

/* SIZE bytes at OFFSET of the file. */
static bool read_file(struct hpp_process_image *image, uint64_t offset, uint8_t *to, size_t size)
{
    if (image->file.descriptor < 0) {
        size_t all;
        const char *bytes = elf_rawfile(image->file.elf, &all);
        if (!bytes || offset > all || size > all - offset)
            return false;
        memcpy(to, bytes + offset, size);
        return true;
    }
    if (!image->pages)
        image->pages = hpp_memory_get(PAGES * sizeof *image->pages);
    while (size) {
        uint64_t number = offset / PAGE;
        struct hpp_process_page *page = &image->pages[number % PAGES];
        size_t part = PAGE - offset % PAGE < size ? PAGE - offset % PAGE : size;
        if (page->number != number + 1) {
            ssize_t got = pread(image->file.descriptor, page->bytes, PAGE, (off_t)(number * PAGE));
            page->number = 0;
            if (got <= 0)
                return false;
            memset(page->bytes + got, 0, PAGE - (size_t)got);
            page->number = number + 1;
        }
        memcpy(to, page->bytes + offset % PAGE, part);
        offset += part;
        to += part;
        size -= part;
    }
    return true;
}

bool hpp_process_image_read(struct hpp_process_image *image, uint64_t address, void *to, size_t size)
{
    const GElf_Phdr *segment = hpp_process_image_segment(image, address);
    uint64_t at = segment ? address - image->bias - segment->p_vaddr : 0;

    if (!image->usable || !segment)
        return false;
    if (at >= segment->p_filesz || size > segment->p_filesz - at)
        return false;
    return read_file(image, segment->p_offset + at, to, size);
}

/* The table in the file. False when there is none, or one in another encoding than linkers write. */
static bool find_table(struct hpp_process_image *image, struct hpp_unwind_place *place)
{
    enum {
        VERSION = 1,
        POINTER = 0x1b, /* pcrel sdata4 */
        COUNT = 0x03,   /* udata4 */
        TABLE = 0x3b,   /* datarel sdata4 */
    };
    struct {
        uint8_t version, pointer_encoding, count_encoding, table_encoding;
        int32_t pointer;
        uint32_t count;
    } header;

    if (!image->header ||
        !hpp_process_image_read(image, image->bias + image->header, &header, sizeof header) ||
        header.version != VERSION || header.pointer_encoding != POINTER || header.count_encoding != COUNT ||
        header.table_encoding != TABLE || !header.count)
        return false;
    place->base = image->bias + image->header;
    place->table = place->base + sizeof header;
    place->entries = header.count;
    return true;
}

bool hpp_process_image_unwind_place(struct hpp_process_image *image, uint64_t address,
                                    struct hpp_unwind_place *place)
{
    const GElf_Phdr *segment = hpp_process_image_segment(image, address);

    if (!segment || !image->usable)
        return false;
    *place = (struct hpp_unwind_place){.text_start = image->bias + segment->p_vaddr,
                                       .text_end = image->bias + segment->p_vaddr + segment->p_memsz};
    if (find_table(image, place))
        return true;
    if (!image->tabled)
        hpp_frame_table_make(&image->frames, image->file.elf);
    image->tabled = true;
    place->base = image->bias + image->frames.section;
    place->rows = image->frames.rows;
    place->entries = image->frames.count;
    return place->entries > 0;
}

const char *hpp_process_image_title(const struct hpp_process_image *image)
{
    return hpp_base_name(image->mapping->path);
}

char *hpp_process_image_name(struct hpp_process_image *image, uint64_t address,
                             void (*tell)(const char *line))
{
    const GElf_Phdr *segment = hpp_process_image_segment(image, address);
    uint64_t offset = address - image->bias - segment->p_vaddr + segment->p_offset;
    char why[HPP_WHY_SIZE], line[HPP_ERROR_SIZE];
    const char *name;
    char *result;
    size_t symbol;

    if (image->usable && !image->named) {
        const char *path = image->file.descriptor < 0 ? "[vdso]" : image->path;
        image->named = true;
        if (hpp_symbols_read(&image->symbols, path, image->file.build_id, segment->p_offset, why) && tell) {
            snprintf(line, sizeof line, "%s: %s: its functions stay without names", image->mapping->path,
                     why);
            tell(line);
        }
    }
    symbol = hpp_symbols_find(&image->symbols, offset);
    if (symbol < image->symbols.count && image->symbols.symbols[symbol].start <= offset) {
        name = hpp_symbols_name(&image->symbols, symbol);
        result = hpp_demangle(name);
        return result ? result : hpp_memory_copy(name, strlen(name) + 1);
    }
    return asprintf(&result, "%s+0x%" PRIx64, hpp_process_image_title(image), offset) < 0 ? NULL : result;
}
