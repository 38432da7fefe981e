/* Finds and builds unwind tables and gives them to the handlers by one atomic store each. Writer only. */
#include "profiler/tables.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "common/sys.h"
#include "common/table_cache.h"
#include "common/text.h"
#include "common/unwind_build.h"
#include "profiler/sampler.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define BUILD_NS_PER_BYTE 3u /* of text: about what building takes */
#define BUILD_NS_MAX      1000000000u
#define UNKEPT_FACTOR     20u /* how much more must lack a table that each run would have to build */
#define LATE_DIVISOR      10u /* how much less must lack one that is built for later runs only */
#define LINE              (HPP_PATH_MAX + 256)

/* A table that some segment has, or had before its library was unloaded. */
struct known {
    const struct known *next;
    const struct hpp_image *image;
    const struct hpp_unwind_table *table;
};

static struct {
    const char *directory;
    uint64_t limit;
    const struct known *known;
    int is_checked;       /* whether tables can be kept */
    const char *not_kept; /* why, a constant text; NULL: they are */
    const char *told;     /* what the profile knows of that */
} tables = {.directory = ""};

void hpp_tables_init(const char *directory, uint64_t limit)
{
    tables.known = NULL; /* in a fork child what the parent's writer was changing is not looked at */
    tables.told = NULL;
    tables.is_checked = !directory[0];
    tables.not_kept = directory[0] ? NULL : "there is no folder for them";
    tables.directory = directory;
    tables.limit = limit;
}

/* ---- what is known ----------------------------------------------------------------------------------- */

/* Whether A and B are one file, so that one table serves both. */
static int is_same(const struct hpp_image *a, const struct hpp_image *b)
{
    return a == b || hpp_build_id_equal(a->build_id, a->build_id_size, b->build_id, b->build_id_size);
}

static void publish(struct hpp_segment *segment, const struct hpp_unwind_table *table)
{
    atomic_store_explicit(&segment->table, table, memory_order_release);
}

/* Gives TABLE to all segments of IMAGE, and remembers it. */
static void give(const struct hpp_code_map *map, const struct hpp_image *image,
                 const struct hpp_unwind_table *table)
{
    struct known *known = hpp_arena_allocate(&hpp_writer.image_arena, sizeof *known);

    if (known) {
        *known = (struct known){tables.known, image, table};
        tables.known = known;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        struct hpp_segment *segment = (struct hpp_segment *)map->ranges[i].segment;
        if (is_same(segment->image, image) && !atomic_load(&segment->table))
            publish(segment, table);
    }
}

static const struct hpp_unwind_table *find_known(const struct hpp_code_map *map,
                                                 const struct hpp_image *image)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct hpp_segment *segment = map->ranges[i].segment;
        if (atomic_load(&segment->table) && is_same(segment->image, image))
            return atomic_load(&segment->table);
    }
    for (const struct known *known = tables.known; known; known = known->next)
        if (is_same(known->image, image))
            return known->table;
    return NULL;
}

/* The table of IMAGE that the cache has, or NULL. */
static const struct hpp_unwind_table *find_kept(const struct hpp_image *image)
{
    const struct hpp_unwind_table *table;
    const char *reason;

    if (!tables.directory[0] || !image->build_id_size ||
        hpp_table_cache_load(tables.directory, image->build_id, image->build_id_size, &table, &reason))
        return NULL;
    return table;
}

void hpp_tables_load(const struct hpp_code_map *map)
{
    for (uint32_t i = 0; i < map->count && !hpp_sampler.no_tables; i++) {
        struct hpp_segment *segment = (struct hpp_segment *)map->ranges[i].segment;
        const struct hpp_image *image = segment->image;
        const struct hpp_unwind_table *table;

        if (atomic_load(&segment->table))
            continue;
        table = find_known(map, image);
        if (table)
            publish(segment, table);
        else if (!atomic_load(&hpp_writer.stop) && (table = find_kept(image)))
            give(map, image, table);
    }
}

/* ---- what is wanted ---------------------------------------------------------------------------------- */

void hpp_tables_note(const struct hpp_code_map *map, const uint64_t *record)
{
    uint32_t weight = HPP_RECORD_WEIGHT(record[0]);
    const struct hpp_segment *last = NULL;

    hpp_writer.untold += weight;
    for (unsigned i = 0; i < HPP_RECORD_FRAMES(record[0]); i++) {
        const struct hpp_code_range *range = hpp_image_find(map, record[HPP_RECORD_WORDS + i] - (i > 0));
        struct hpp_segment *segment = range ? (struct hpp_segment *)range->segment : NULL;
        if (segment && segment != last && !atomic_load(&segment->table))
            segment->wanted += weight;
        last = segment;
    }
}

/* How many ns of CPU time must lack the table before it is built: about as many as building takes at most. */
static uint64_t price_of(const struct hpp_segment *segment, int is_late)
{
    uint64_t cost = (segment->end - segment->start) * BUILD_NS_PER_BYTE;

    if (cost > BUILD_NS_MAX)
        cost = BUILD_NS_MAX;
    if (tables.not_kept || !segment->image->build_id_size)
        return is_late ? UINT64_MAX : cost * UNKEPT_FACTOR;
    return is_late ? cost / LATE_DIVISOR : cost;
}

/* The segment without a table that samples lacked it in most, of those that are worth their price by now, or
 * NULL. */
static struct hpp_segment *most_wanted(const struct hpp_code_map *map, int is_late)
{
    struct hpp_segment *best = NULL;

    for (uint32_t i = 0; i < map->count; i++) {
        struct hpp_segment *segment = (struct hpp_segment *)map->ranges[i].segment;
        if (segment->wanted && !atomic_load(&segment->table) &&
            segment->wanted * hpp_sampler.period >= price_of(segment, is_late) &&
            (!best || segment->wanted > best->wanted))
            best = segment;
    }
    return best;
}

/* The same; before the first one, looks whether it can be kept. */
static struct hpp_segment *choose(const struct hpp_code_map *map, int is_late)
{
    struct hpp_segment *best = hpp_sampler.no_tables || !map ? NULL : most_wanted(map, is_late);
    const char *reason;

    if (!best || tables.is_checked)
        return best;
    tables.is_checked = 1;
    if (hpp_table_cache_check(tables.directory, &reason))
        tables.not_kept = reason;
    return most_wanted(map, is_late);
}

/* Opens the file of IMAGE, if what has its path still is that file. */
static int open_file(const struct hpp_image *image)
{
    struct hpp_elf_source source = {0, -1};
    struct hpp_elf_header header;

    if (image->kind != HPP_IMAGE_FILE || !image->build_id_size || hpp_text_after(image->path, "/dev/"))
        return -1;
    source.fd = (int)hpp_sys_open(image->path, O_RDONLY | O_NONBLOCK, 0);
    if (source.fd >= 0 &&
        (hpp_elf_header_read(&source, &header) ||
         !hpp_build_id_equal(image->build_id, image->build_id_size, header.build_id, header.build_id_size))) {
        hpp_sys_close(source.fd);
        return -1;
    }
    return source.fd;
}

/* Whether process PID (0: this one) has a limit of memory. */
static int has_memory_limit(int pid)
{
    struct rlimit space = {RLIM_INFINITY, 0}, data = {RLIM_INFINITY, 0};

    HPP_SYSCALL(prlimit64, pid, RLIMIT_AS, NULL, &space, 0, 0);
    HPP_SYSCALL(prlimit64, pid, RLIMIT_DATA, NULL, &data, 0, 0);
    return space.rlim_cur != RLIM_INFINITY || data.rlim_cur != RLIM_INFINITY;
}

/* Whether the program has a limit of memory, which is the writer's memory as well: it would run into it
 * sooner. The limit that we inherited counts as well: after the program's end its own cannot be asked for. */
static int is_memory_limited(void)
{
    return has_memory_limit(0) || has_memory_limit(hpp_writer.target);
}

/* From the file where it is the right one: it has more than is loaded. Else from memory. */
static int build_table(const struct hpp_image *image, struct hpp_unwind_build *build,
                       const struct hpp_unwind_table **table)
{
    int error = -ENOENT;

    build->reason = "the program's memory is limited (ulimit -v or -d); hpprof cache warm makes it";
    if (is_memory_limited())
        return -ENOMEM;
    build->reason = "neither its file nor its header in memory can be read";
    build->source.fd = open_file(image);
    if (build->source.fd >= 0) {
        error = hpp_unwind_build(build, table);
        hpp_sys_close(build->source.fd);
    } else if (image->header) {
        build->source.memory = image->header;
        error = hpp_unwind_build(build, table);
    }
    return error;
}

/* Puts TABLE into the cache and takes the one that is there now for it: that one is shared. */
static const struct hpp_unwind_table *keep(const struct hpp_image *image,
                                           const struct hpp_unwind_table *table)
{
    const struct hpp_unwind_table *kept;
    int error;

    if (!tables.directory[0] || !image->build_id_size)
        return table;
    error = hpp_table_cache_store(tables.directory, table, tables.limit);
    if (error)
        tables.not_kept = error == -E2BIG ? "HPPROF_CACHE_MAX is too small" : hpp_text_error(error);
    kept = error ? NULL : find_kept(image);
    if (!kept)
        return table;
    hpp_unwind_free(table);
    return kept;
}

/* Returns 0 only if PAUSE gave up. */
static int build_for(struct hpp_segment *segment, int (*pause)(void *))
{
    struct hpp_unwind_build build = {.source = {0, -1}, .pause = pause};
    const struct hpp_unwind_table *table = find_kept(segment->image); /* another process made it meanwhile */

    if (!table) {
        int error = build_table(segment->image, &build, &table);
        if (error == -ECANCELED)
            return 0;
        if (error) {
            segment->no_table = build.reason;
            table = &hpp_unwind_no_table;
        } else {
            table = keep(segment->image, table);
        }
    }
    /* while it was built, other code may have come */
    give(atomic_load(&hpp_sampler.code), segment->image, table);
    return 1;
}

int hpp_tables_build(const struct hpp_code_map *map, int (*pause)(void *))
{
    struct hpp_segment *segment = choose(map, 0);

    return segment && build_for(segment, pause);
}

int hpp_tables_wanted_late(void)
{
    return choose(atomic_load(&hpp_sampler.code), 1) != NULL;
}

void hpp_tables_build_late(void)
{
    const struct hpp_code_map *map = atomic_load(&hpp_sampler.code);
    struct hpp_segment *segment;

    while ((segment = choose(map, 1)))
        build_for(segment, NULL);
}

/* ---- what there is to say ---------------------------------------------------------------------------- */

void hpp_tables_comment(const struct hpp_code_map *map)
{
    char line[LINE];

    if (hpp_writer.untold != hpp_writer.told_untold ||
        (hpp_writer.untold && tables.not_kept != tables.told)) {
        struct hpp_text text = HPP_TEXT(line);
        hpp_text_put(&text, "hpprof.unwind by_fp=");
        hpp_text_put_number(&text, hpp_writer.untold - hpp_writer.told_untold);
        if (tables.not_kept) {
            hpp_text_put(&text, " not_kept='");
            hpp_text_put(&text, tables.not_kept);
            hpp_text_put(&text, "'");
        }
        hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, line);
        hpp_writer.told_untold = hpp_writer.untold;
        tables.told = tables.not_kept;
    }
    for (uint32_t i = 0; map && i < map->count; i++) {
        struct hpp_segment *segment = (struct hpp_segment *)map->ranges[i].segment;
        struct hpp_text text = HPP_TEXT(line);
        if (!segment->no_table)
            continue;
        hpp_text_put(&text, "hpprof.no_table reason='");
        hpp_text_put(&text, segment->no_table);
        hpp_text_put(&text, "' image=");
        hpp_text_put(&text, segment->image->path);
        hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, line);
        segment->no_table = NULL;
    }
}
