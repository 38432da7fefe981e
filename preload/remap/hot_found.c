/* Text that lies on huge pages without having been moved: the page cache's, as the backend file has them, or
 * pages that the program has put there itself. Writer. */
#include "preload/remap/hot_state.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

static int is_recorded(const struct hpp_segment *segment, uint64_t at)
{
    for (unsigned i = 0; i < hpp_hot.list->count; i++) {
        const struct hpp_remap_record *record = &hpp_hot.list->records[i];
        if (record->segment == segment && at >= record->start && at < record->end)
            return 1;
    }
    return 0;
}

static void record_found(const struct hpp_segment *segment, uint64_t start, uint64_t end)
{
    if (hpp_pagemap_find(start, end, HPP_PAGE_PRIVATE, NULL))
        hpp_hot_leave(segment, start, end, "the program has it on huge pages of its own");
    else
        hpp_remap_record(hpp_hot.list, &(struct hpp_remap_record){.segment = segment,
                                                                  .backend = hpp_remap_file.name,
                                                                  .start = start,
                                                                  .end = end,
                                                                  .huge = end - start});
}

/* In [START, END), HPP_CHUNKS_MAX at most. */
static void find_in(const struct hpp_segment *segment, uint64_t start, uint64_t end)
{
    struct hpp_chunks huge;
    uint64_t run = 0;

    hpp_huge_chunks(start, end, &huge);
    for (uint64_t at = start; at <= end; at += HPP_HUGE_PAGE) {
        int is_found =
            at < end && hpp_chunk_is(&huge, (at - start) / HPP_HUGE_PAGE) && !is_recorded(segment, at);
        if (is_found && !run)
            run = at;
        if (!is_found && run) {
            record_found(segment, run, at);
            run = 0;
        }
    }
}

void hpp_hot_find(const struct hpp_segment *segment)
{
    const uint64_t step = HPP_CHUNKS_MAX * HPP_HUGE_PAGE;
    uint64_t start, end;

    if (hpp_remap_refused(segment, hpp_sampler.agent, hpp_hot.options, &start, &end))
        return;
    for (; start < end; start += step)
        find_in(segment, start, end - start > step ? start + step : end);
}
