/* See kept.h. What lies now where text was moved may be another's: only the file's own bytes show that it is
 * the text. */
#include "preload/remap/kept.h"

#include "common/sys.h"
#include "preload/remap/hot_state.h"
#include "preload/remap/move.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

#define PIECE 1024u /* it is on the program's stack, twice */

static int is_anonymous(const struct hpp_remap_record *record)
{
    return !record->reason &&
           (record->backend == hpp_remap_anon.name || record->backend == hpp_remap_hugetlb.name);
}

static int holds_file(const struct hpp_segment *segment, uint64_t at, uint64_t end)
{
    char here[PIECE], there[PIECE];
    long fd = hpp_sys_open(segment->image->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    int same = fd >= 0;

    for (uint64_t size; same && at < end; at += size) {
        size = end - at < PIECE ? end - at : PIECE;
        same =
            hpp_sys_copy_own_memory(here, at, size) == (long)size &&
            hpp_sys_pread((int)fd, there, size, segment->file_offset + (at - segment->start)) == (long)size;
        for (uint64_t i = 0; same && i < size; i++)
            same = here[i] == there[i];
    }
    if (fd >= 0)
        hpp_sys_close((int)fd);
    return same;
}

int hpp_kept_find(uint64_t start, uint64_t end, uint64_t *from, uint64_t *to)
{
    const struct hpp_remap_list *list = hpp_hot.list;
    unsigned count = list && !atomic_load(&hpp_sampler.sandboxed) ? list->count : 0;
    int found = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct hpp_remap_record *record = &list->records[i];
        uint64_t low = record->start > start ? record->start : start,
                 high = record->end < end ? record->end : end;
        if (low < high && is_anonymous(record) && (!found || low < *from) &&
            holds_file(record->segment, low, high)) {
            *from = low;
            *to = high;
            found = 1;
        }
    }
    return found;
}
