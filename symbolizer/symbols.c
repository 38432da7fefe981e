/* From the symbols of an image to stretches of its file, each with one name. Offline only. */
#include "symbolizer/symbols.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/memory.h"

#include <errno.h>
#include <libiberty/demangle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT_ROOM = 64, MANGLED_MAX = 16 << 10, PAGE = 4096 };

/* A symbol as the ELF file has it; addresses are the file's own. */
struct found {
    uint64_t start, end;
    uint32_t name;
    int rank, underscores;
    bool sized;
};

struct collection {
    struct hpp_symbols *symbols;
    struct found *found;
    size_t count, room;
};

static void collect(void *context, uint64_t address, uint64_t size, int rank, const char *name)
{
    struct collection *collection = context;
    size_t length = strcspn(name, "@");
    uint64_t end;

    if (!length || __builtin_add_overflow(address, size ? size : 1, &end))
        return;
    collection->found = hpp_memory_room(collection->found, &collection->room, collection->count + 1,
                                        sizeof *collection->found);
    collection->found[collection->count++] =
        (struct found){.start = address,
                       .end = end,
                       .name = hpp_intern_add(&collection->symbols->names, name, length),
                       .rank = rank + (name[length] == '@' && name[length + 1] != '@'), /* an old version */
                       .underscores = (int)strspn(name, "_"),
                       .sized = size > 0};
}

/* By start, then the longer first, then the worse name first: what comes later lies on top. */
static int compare(const void *left, const void *right, void *context)
{
    const struct found *a = left, *b = right;
    size_t a_size, b_size;
    const char *a_name = hpp_intern_get(context, a->name, &a_size);
    const char *b_name = hpp_intern_get(context, b->name, &b_size);

    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;
    if (a->rank != b->rank)
        return b->rank - a->rank;
    if (a->underscores != b->underscores)
        return b->underscores - a->underscores;
    if (a_size != b_size)
        return a_size > b_size ? -1 : 1;
    return strcmp(b_name, a_name);
}

/* Where an address of the file stands in it. */
struct segments {
    struct hpp_elf_segment list[SEGMENT_ROOM];
    size_t count;
};

/* Appends the stretch [START, END), turned into file offsets and clipped to its segment. */
static void append(struct hpp_symbols *symbols, size_t *room, const struct segments *segments, uint64_t start,
                   uint64_t end, uint32_t name)
{
    for (size_t i = 0; i < segments->count; i++) {
        const struct hpp_elf_segment *segment = &segments->list[i];
        uint64_t from = start - segment->address, size = end - start;
        if (start < segment->address || from >= segment->size)
            continue;
        if (size > segment->size - from)
            size = segment->size - from;
        symbols->symbols =
            hpp_memory_room(symbols->symbols, room, symbols->count + 1, sizeof *symbols->symbols);
        symbols->symbols[symbols->count++] =
            (struct hpp_symbol){segment->offset + from, segment->offset + from + size, name};
        return;
    }
}

/* Sweeps over the sorted symbols with a stack of those that have begun: each byte goes to the top of it. */
static void flatten(struct collection *collection, const struct segments *segments)
{
    const struct found **open = hpp_memory_get(collection->count * sizeof *open);
    size_t depth = 0, room = 0;
    uint64_t at = 0;

    for (size_t i = 0; i <= collection->count; i++) {
        const struct found *next = i < collection->count ? &collection->found[i] : NULL;
        uint64_t until = next ? next->start : UINT64_MAX;
        while (depth && at < until) {
            const struct found *top = open[depth - 1];
            uint64_t end = top->end < until ? top->end : until;
            if (end > at)
                append(collection->symbols, &room, segments, at, end, top->name);
            at = end > at ? end : at;
            depth -= top->end <= at;
        }
        while (depth && open[depth - 1]->end <= until)
            depth--;
        at = until;
        if (next && (next->sized || !depth))
            open[depth++] = next;
    }
    free(open);
}

static int compare_symbols(const void *left, const void *right)
{
    const struct hpp_symbol *a = left, *b = right;

    return a->start < b->start ? -1 : a->start > b->start;
}

/* Segments lie in the file in whatever order; drops what overlaps after that (a file that lies). */
static void tidy(struct hpp_symbols *symbols)
{
    size_t kept = 0;

    if (symbols->count)
        qsort(symbols->symbols, symbols->count, sizeof *symbols->symbols, compare_symbols);
    for (size_t i = 0; i < symbols->count; i++)
        if (!kept || symbols->symbols[i].start >= symbols->symbols[kept - 1].end)
            symbols->symbols[kept++] = symbols->symbols[i];
    symbols->count = kept;
}

/* A debug file alone does not say where its image has the text: the profile's mapping does, if there is one
 * executable segment only. */
static void place_debug(struct segments *segments, uint64_t segment_offset)
{
    struct hpp_elf_segment *segment = &segments->list[0];
    uint64_t down = segment->address % PAGE;

    if (segments->count != 1) {
        segments->count = 0;
        return;
    }
    if (segment_offset % PAGE == down)
        down = 0;
    segment->address -= down;
    segment->size += down;
    segment->offset = segment_offset;
}

static int open_image(struct hpp_elf_file *image, const char *path, const char *build_id,
                      char why[HPP_WHY_SIZE])
{
    int result = strcmp(path, "[vdso]") ? hpp_elf_open(image, path) : hpp_elf_open_vdso(image);

    if (result) {
        snprintf(why, HPP_WHY_SIZE, "%s", result == -ENOEXEC ? "not an ELF file" : strerror(-result));
        return result;
    }
    if (*build_id && strcmp(image->build_id, build_id)) {
        snprintf(why, HPP_WHY_SIZE, "it has changed since: build-id %.16s… then, %.16s%s now", build_id,
                 *image->build_id ? image->build_id : "none", *image->build_id ? "…" : "");
        hpp_elf_close(image);
        return -ESTALE;
    }
    return 0;
}

int hpp_symbols_read(struct hpp_symbols *symbols, const char *path, const char *build_id,
                     uint64_t segment_offset, char why[HPP_WHY_SIZE])
{
    struct collection collection = {.symbols = symbols};
    struct hpp_elf_file image, debug;
    struct segments segments = {.count = 0};
    int result = open_image(&image, path, build_id, why);
    bool whole = false, have_debug;

    *symbols = (struct hpp_symbols){0};
    if (!result) {
        segments.count = hpp_elf_segments(&image, segments.list, SEGMENT_ROOM);
        whole = hpp_elf_symbols(&image, collect, &collection);
        if (!*build_id)
            build_id = image.build_id;
    }
    have_debug = !whole && *build_id && !hpp_elf_open_debug(&debug, path, build_id, result ? NULL : &image);
    if (have_debug) {
        if (result) {
            segments.count = hpp_elf_segments(&debug, segments.list, SEGMENT_ROOM);
            place_debug(&segments, segment_offset);
            result = segments.count ? 0 : result;
        }
        hpp_elf_symbols(&debug, collect, &collection);
    }
    if (collection.count)
        qsort_r(collection.found, collection.count, sizeof *collection.found, compare, &symbols->names);
    flatten(&collection, &segments);
    tidy(symbols);
    free(collection.found);
    if (have_debug)
        hpp_elf_close(&debug);
    hpp_elf_close(&image);
    return result;
}

void hpp_symbols_free(struct hpp_symbols *symbols)
{
    free(symbols->symbols);
    hpp_intern_free(&symbols->names);
    *symbols = (struct hpp_symbols){0};
}

size_t hpp_symbols_find(const struct hpp_symbols *symbols, uint64_t offset)
{
    size_t low = 0, high = symbols->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->symbols[middle].end > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const char *hpp_symbols_name(const struct hpp_symbols *symbols, size_t index)
{
    return hpp_intern_get(&symbols->names, symbols->symbols[index].name, NULL);
}

char *hpp_demangle(const char *name)
{
    if ((strncmp(name, "_Z", 2) && strncmp(name, "_R", 2)) || strlen(name) > MANGLED_MAX)
        return NULL;
    return cplus_demangle(name, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO);
}
