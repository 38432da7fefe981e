/* Plans the remap: which ranges are eligible, and why the others are left. Start-up code and writer. */
#include "common/text.h"
#include "preload/remap/edges.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/mlock.h"
#include "preload/remap/move.h"
#include "profiler/signal_safe.h"

const struct hpp_remap_backend *const hpp_remap_chains[][HPP_REMAP_CHAIN] = {
    [HPP_REMAP_AUTO] = {&hpp_remap_file, &hpp_remap_cache, &hpp_remap_anon, &hpp_remap_memfd},
    [HPP_REMAP_TRANSPARENT] = {&hpp_remap_file, &hpp_remap_cache},
    [HPP_REMAP_FILE] = {&hpp_remap_file},
    [HPP_REMAP_CACHE] = {&hpp_remap_cache},
    [HPP_REMAP_ANON] = {&hpp_remap_anon},
    [HPP_REMAP_MEMFD] = {&hpp_remap_memfd},
    [HPP_REMAP_HUGETLB] = {&hpp_remap_hugetlb},
};

static const struct hpp_remap_backend *const warm[] = {&hpp_remap_cache_warm, NULL};

int hpp_remap_before_main(const struct hpp_remap_options *options)
{
    return hpp_remap_at_start(options) ||
           (options->how == HPP_REMAP_AUTO && options->when == HPP_REMAP_WHEN_AUTO &&
            hpp_remap_cache_is_there(options->text_cache));
}

/* Whether there is a place for one more before the last. */
static int has_room(struct hpp_remap_list *list)
{
    unsigned capacity = list->capacity * 2;
    struct hpp_remap_record *records;

    if (!list->capacity) {
        list->records = list->first;
        list->capacity = HPP_REMAP_FIRST;
    }
    if (list->count + 1 < list->capacity)
        return 1;
    records =
        list->count < list->capacity ? hpp_arena_allocate(list->arena, capacity * sizeof *records) : NULL;
    if (!records)
        return 0;
    for (unsigned i = 0; i < list->count; i++)
        records[i] = list->records[i];
    list->records = records;
    list->capacity = capacity;
    return 1;
}

void hpp_remap_record(struct hpp_remap_list *list, const struct hpp_remap_record *record)
{
    struct hpp_remap_record *place;

    if (list->tentative && record->reason)
        return;
    if (!has_room(list) && list->count == list->capacity) {
        list->records[list->count - 1].end += record->end - record->start;
        return;
    }
    place = &list->records[list->count];
    *place = *record;
    place->hot = list->hot;
    if (list->count + 1 == list->capacity) {
        place->backend = NULL;
        place->reason = "there was no memory to tell what became of it";
    }
    list->count++;
}

static void leave(struct hpp_remap_list *list, const struct hpp_segment *segment, uint64_t start,
                  uint64_t end, const char *reason)
{
    hpp_remap_record(
        list, &(struct hpp_remap_record){.segment = segment, .start = start, .end = end, .reason = reason});
}

#define TOO_SMALL "no whole aligned 2 MiB of text"

void hpp_remap_leave_small(struct hpp_remap_list *list)
{
    leave(list, NULL, 0, 0, TOO_SMALL);
}

const char *hpp_remap_refused(const struct hpp_segment *segment, const struct hpp_segment *agent,
                              const struct hpp_remap_options *options, uint64_t *start, uint64_t *end)
{
    *start = (segment->start + HPP_HUGE_PAGE - 1) & ~(HPP_HUGE_PAGE - 1);
    *end = segment->file_end & ~(HPP_HUGE_PAGE - 1);
    if (*start > *end)
        *start = *end;
    if (agent && segment->start == agent->start)
        return "the agent's own code moves the others";
    if (!hpp_text_matches(options->match, segment->image->path))
        return "HPPROF_REMAP_MATCH does not match it";
    if (*start == *end)
        return TOO_SMALL;
    if (options->refused)
        return options->refused;
    if (segment->altered)
        return HPP_REMAP_NOT_ITS_FILE;
    if (*end - *start < options->min)
        return "smaller than HPPROF_REMAP_MIN";
    return NULL;
}

void hpp_remap_text(const struct hpp_code_map *map, const struct hpp_segment *agent,
                    const struct hpp_remap_options *options, struct hpp_remap_list *list)
{
    uint64_t left = options->max & ~(HPP_HUGE_PAGE - 1);
    const struct hpp_remap_backend *const *backends = hpp_remap_chains[options->how];

    if (!hpp_remap_before_main(options))
        return;
    hpp_remap_cache_in(options->text_cache);
    hpp_mlock_begin(options->lock);
    list->tentative = !hpp_remap_at_start(options);
    if (list->tentative)
        backends = warm;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct hpp_segment *segment = map->ranges[i].segment;
        uint64_t start, end;
        const char *reason = hpp_remap_refused(segment, agent, options, &start, &end);

        if (segment->image->kind != HPP_IMAGE_FILE)
            continue;
        /* a small library that cannot be moved is not worth a word, the program itself is */
        if (start == end && segment->end - segment->start < HPP_HUGE_PAGE && segment->serial != 0)
            continue;
        if (reason) {
            leave(list, segment, start, end, reason);
            continue;
        }
        if (end - start > left) {
            leave(list, segment, start + left, end, "HPPROF_REMAP_MAX is reached");
            end = start + left;
        }
        if (start < end) {
            left -= end - start;
            hpp_remap_range(backends, segment, start, end, list);
        }
        if (options->edges == HPP_REMAP_ABSORB)
            left -= hpp_edge_absorb_both(backends, segment, start, end, left, list);
    }
    list->tentative = 0;
}
