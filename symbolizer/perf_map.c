/* perf's map of moved text (tools/perf/Documentation/jit-interface.txt). Offline only. */
#include "symbolizer/perf_map.h"
#include "symbolizer/escape.h"
#include "symbolizer/memory.h"
#include "symbolizer/symbolize.h"
#include "symbolizer/symbols.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct range {
    uint64_t start, end;
    uint32_t comment;
};

static int compare(const void *left, const void *right)
{
    const struct range *a = left, *b = right;

    return a->start < b->start ? -1 : a->start > b->start;
}

/* The moved ranges, rising, without overlap. */
static size_t find_ranges(const struct hpp_profile *profile, struct range **ranges)
{
    size_t count = 0, kept = 0;

    *ranges = hpp_memory_get(profile->comment_count * sizeof **ranges);
    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *comment = hpp_profile_comment(profile, i);
        struct range range = {hpp_comment_number(comment, "start"), hpp_comment_number(comment, "end"),
                              (uint32_t)i};
        if (hpp_comment_is(comment, "hpprof.remap") && range.start < range.end)
            (*ranges)[count++] = range;
    }
    if (count)
        qsort(*ranges, count, sizeof **ranges, compare);
    for (size_t i = 0; i < count; i++) {
        struct range range = (*ranges)[i];
        if (kept && range.start < (*ranges)[kept - 1].end)
            range.start = (*ranges)[kept - 1].end;
        if (range.start < range.end)
            (*ranges)[kept++] = range;
    }
    return kept;
}

/* The mapping of IMAGE that holds ADDRESS, or NULL. */
static const struct hpp_mapping *find_mapping(const struct hpp_profile *profile, const char *image,
                                              uint64_t address)
{
    for (size_t i = 0; i < profile->mapping_count; i++) {
        const struct hpp_mapping *mapping = &profile->mappings[i];
        if (address >= mapping->start && address < mapping->limit &&
            !strcmp(hpp_profile_string(profile, mapping->filename), image))
            return mapping;
    }
    return NULL;
}

static void print_line(FILE *out, uint64_t start, uint64_t end, const char *name)
{
    char *demangled = hpp_demangle(name);

    fprintf(out, "%" PRIx64 " %" PRIx64 " ", start, end - start);
    hpp_escape_plain(out, demangled ? demangled : name, 0);
    fputc('\n', out);
    free(demangled);
}

static void print_gap(FILE *out, uint64_t start, uint64_t end, uint64_t offset, const char *image)
{
    char name[4400];

    if (start >= end)
        return;
    snprintf(name, sizeof name, "%.4096s+0x%" PRIx64, hpp_base_name(image), offset);
    print_line(out, start, end, name);
}

/* DELTA is what an address is above its file offset. */
static void print_range(FILE *out, const struct range *range, const struct hpp_symbols *symbols,
                        uint64_t delta, const char *image)
{
    uint64_t at = range->start;

    for (size_t i = hpp_symbols_find(symbols, range->start - delta); i < symbols->count && at < range->end;
         i++) {
        uint64_t start = symbols->symbols[i].start + delta, end = symbols->symbols[i].end + delta;
        if (symbols->symbols[i].start >= range->end - delta)
            break;
        if (start < at)
            start = at;
        if (end > range->end)
            end = range->end;
        print_gap(out, at, start, at - delta, image);
        print_line(out, start, end, hpp_symbols_name(symbols, i));
        at = end;
    }
    print_gap(out, at, range->end, at - delta, image);
}

size_t hpp_perf_map_print(FILE *out, const struct hpp_profile *profile, void (*tell)(const char *line))
{
    struct range *ranges;
    size_t count = find_ranges(profile, &ranges);
    const struct hpp_mapping *last = NULL;
    struct hpp_symbols symbols = {0};
    char image[4096], why[HPP_WHY_SIZE], line[HPP_ERROR_SIZE];

    for (size_t i = 0; i < count; i++) {
        const struct hpp_mapping *mapping;
        uint64_t delta = 0;
        hpp_comment_text(hpp_profile_comment(profile, ranges[i].comment), "image", image, sizeof image);
        mapping = find_mapping(profile, image, ranges[i].start);
        if (!mapping || mapping != last)
            hpp_symbols_free(&symbols);
        if (mapping && mapping != last &&
            hpp_symbols_read(&symbols, image, hpp_profile_string(profile, mapping->build_id),
                             mapping->file_offset, why)) {
            snprintf(line, sizeof line, "%s: %s: its functions stay without names", image, why);
            if (tell)
                tell(line);
        }
        if (mapping)
            delta = mapping->start - mapping->file_offset;
        last = mapping;
        print_range(out, &ranges[i], &symbols, delta, image);
    }
    hpp_symbols_free(&symbols);
    free(ranges);
    return count;
}
