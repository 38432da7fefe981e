/* What the profile tells of hot remap: shares of samples, what was left, and why. See hot.h. */
#include <stdatomic.h>

#include "common/text.h"
#include "preload/remap/hot.h"
#include "preload/remap/hot_state.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"
#include "preload/remap/put_back.h"
#include "profiler/sampler.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

static void comment_share(struct hpp_segment *segment, int at_end)
{
    char line[HPP_PATH_MAX + 64];
    struct hpp_text text = HPP_TEXT(line);

    if (segment->on_huge == segment->told_on_huge ||
        (!at_end && segment->on_huge < segment->told_on_huge + segment->told_on_huge / 10 + 1))
        return;
    hpp_text_put(&text, "hpprof.huge samples=");
    hpp_text_put_number(&text, segment->on_huge - segment->told_on_huge);
    hpp_text_put(&text, " image=");
    hpp_text_put(&text, segment->image->path);
    segment->told_on_huge = segment->on_huge;
    hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, line);
}

/* How much of RECORD's text is on reserved pages no more. An edge is on one, with what is beside its text. */
static uint64_t put_back_of(const struct hpp_remap_record *record)
{
    const uint64_t start = record->start & ~(HPP_HUGE_PAGE - 1),
                   end = (record->end + HPP_HUGE_PAGE - 1) & ~(HPP_HUGE_PAGE - 1);
    uint64_t small = end - start - hpp_huge_pages_in(start, end);

    return small < record->end - record->start ? small : record->end - record->start;
}

/* LOOKS: some of it may have been put back on small pages. */
static void comment_range(struct hpp_remap_record *record, int at_end, int looks)
{
    char line[HPP_PATH_MAX + 128];
    struct hpp_text text = HPP_TEXT(line);
    int is_there = hpp_hot_has(record->segment), unloaded = !record->unloaded && !is_there;
    uint64_t put_back = record->put_back;

    if (looks && is_there && record->backend == hpp_remap_hugetlb.name)
        put_back = put_back_of(record);
    if (!unloaded && put_back == record->put_back && (!at_end || record->samples == record->told_samples))
        return;
    hpp_text_put(&text, "hpprof.range start=0x");
    hpp_text_put_hex(&text, record->start);
    hpp_text_put(&text, " end=0x");
    hpp_text_put_hex(&text, record->end);
    hpp_text_put(&text, " samples=");
    hpp_text_put_number(&text, record->samples - record->told_samples);
    if (put_back > record->put_back) {
        hpp_text_put(&text, " put_back_kib=");
        hpp_text_put_number(&text, (put_back - record->put_back) >> 10);
        hpp_text_put(&text, " reason='the program changed a part of it'");
    }
    hpp_text_put(&text, unloaded ? " unloaded=1 image=" : " image=");
    hpp_text_put(&text, record->segment->image->path);
    record->told_samples = record->samples;
    record->put_back = put_back;
    record->unloaded |= unloaded;
    hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, line);
}

void hpp_hot_comment_ranges(int at_end)
{
    unsigned put_backs = hpp_put_back_count();

    for (unsigned i = 0; i < hpp_hot.list->count; i++)
        if (!hpp_hot.list->records[i].reason)
            comment_range(&hpp_hot.list->records[i], at_end, put_backs != hpp_hot.put_backs);
    hpp_hot.put_backs = put_backs;
}

static void comment_refused(void)
{
    char line[HPP_PATH_MAX + 256];
    struct hpp_text text = HPP_TEXT(line);

    hpp_text_put(&text, "hpprof.note text='HPPROF_REMAP_HOT=");
    hpp_text_put(&text, hpp_hot.options->profile);
    hpp_text_put(&text, ": ");
    hpp_text_put(&text, hpp_hot.refused);
    hpp_text_put(&text, "; what is hot is learnt anew'");
    hpp_hot.refused = NULL;
    hpp_pprof_comment(&hpp_writer.file, &hpp_writer.aggregate, line);
}

/* Of what is there at the end: the text that could have been moved and was not. */
static void leave_rest(const struct hpp_segment *segment)
{
    uint64_t start, end, settled = 0;
    const char *reason = hpp_remap_refused(segment, hpp_sampler.agent, hpp_hot.options, &start, &end);

    if (segment->image->kind != HPP_IMAGE_FILE || start == end)
        return;
    if (hpp_hot.options->edges == HPP_REMAP_ABSORB) {
        start = segment->start;
        end = segment->end;
    }
    if (!reason)
        hpp_hot_find(segment);
    for (unsigned i = 0; i < hpp_hot.list->count; i++)
        if (hpp_hot.list->records[i].segment == segment)
            settled += hpp_hot.list->records[i].end - hpp_hot.list->records[i].start;
    if (!reason && hpp_hot.left < HPP_HUGE_PAGE)
        reason = "HPPROF_REMAP_MAX is reached";
    if (!reason)
        reason = hpp_hot.looked ? "too few samples were in it" : "the process used less than a CPU-second";
    if (settled < end - start)
        hpp_hot_leave(segment, start + settled, end, reason);
}

void hpp_hot_comment(int at_end)
{
    const struct hpp_code_map *map = atomic_load(&hpp_sampler.code);

    if (hpp_hot.refused)
        comment_refused();
    for (uint32_t i = 0; i < hpp_writer.aggregate.segment_count; i++)
        if (hpp_writer.aggregate.segments[i])
            comment_share((struct hpp_segment *)hpp_writer.aggregate.segments[i], at_end);
    for (uint32_t i = 0; at_end && hpp_hot.moves && map && i < map->count; i++)
        leave_rest(map->ranges[i].segment);
}
