/* Plans the remap: which ranges are eligible, and why the others are left. Start-up code. */
#include "preload/remap.h"

#include "common/text.h"
#include "preload/huge_pages.h"

void hpp_remap_record(struct hpp_remap_list *list, const struct hpp_remap_record *record)
{
    if (list->count == list->capacity) {
        unsigned capacity = list->capacity ? list->capacity * 2 : 32;
        struct hpp_remap_record *records = hpp_arena_allocate(list->arena, capacity * sizeof *records);
        if (!records)
            return;
        for (unsigned i = 0; i < list->count; i++)
            records[i] = list->records[i];
        list->records = records;
        list->capacity = capacity;
    }
    list->records[list->count++] = *record;
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

/* Why [START, END) of SEGMENT, the whole huge pages in it, is not to be moved; NULL if it is. */
static const char *refused(const struct hpp_segment *segment, const struct hpp_segment *agent, uint64_t start,
                           uint64_t end, const struct hpp_remap_options *options)
{
    const char *reason;

    if (segment == agent)
        return "the agent's own code moves the others";
    if (!hpp_text_matches(options->match, segment->image->path))
        return "HPPROF_REMAP_MATCH does not match it";
    if (start >= end)
        return TOO_SMALL;
    if (segment->altered)
        return "part of it is writable or not the file's";
    if (end - start < options->min)
        return "smaller than HPPROF_REMAP_MIN";
    reason = hpp_huge_pages_refused();
    return reason ? reason : hpp_memory_headroom_refused(end - start);
}

void hpp_remap_text(const struct hpp_code_map *map, const struct hpp_segment *agent,
                    const struct hpp_remap_options *options, struct hpp_remap_list *list)
{
    uint64_t left = options->max & ~(HPP_HUGE_PAGE - 1);

    for (uint32_t i = 0; i < map->count; i++) {
        const struct hpp_segment *segment = map->ranges[i].segment;
        uint64_t start = (segment->start + HPP_HUGE_PAGE - 1) & ~(HPP_HUGE_PAGE - 1);
        uint64_t end = segment->file_end & ~(HPP_HUGE_PAGE - 1);
        const char *reason;

        if (segment->image->kind != HPP_IMAGE_FILE)
            continue;
        /* a small library that cannot be moved is not worth a word, the program itself is */
        if (start >= end && segment->end - segment->start < HPP_HUGE_PAGE && segment->serial != 0)
            continue;
        reason = refused(segment, agent, start, end, options);
        if (reason) {
            leave(list, segment, start < end ? start : end, end, reason);
            continue;
        }
        if (end - start > left) {
            leave(list, segment, start + left, end, "HPPROF_REMAP_MAX is reached");
            end = start + left;
        }
        if (start < end) {
            left -= end - start;
            hpp_remap_anonymous(segment, start, end, list);
        }
    }
}
