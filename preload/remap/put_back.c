/* See put_back.h. The pages are copied, as the program may have patched whole ones of them; by then nobody
 * writes to them, as they are R-X. Other threads may be at work in them: they find the same bytes. */
#include "preload/remap/put_back.h"

#include <stdatomic.h>

#include "common/maps.h"
#include "common/sys.h"
#include "common/text.h"
#include "preload/remap/hot_state.h"
#include "preload/remap/move.h"
#include "preload/remap/pagemap.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

#define TRIES 3

static _Atomic uint64_t lowest, highest; /* all that was ever moved lies between */
static atomic_uint times;
static atomic_int busy; /* the process that does it: a fork child has a copy of this */

void hpp_put_back_note(uint64_t start, uint64_t end)
{
    if (!atomic_load(&lowest) || start < atomic_load(&lowest))
        atomic_store(&lowest, start);
    if (end > atomic_load(&highest))
        atomic_store(&highest, end);
}

/* Whether the 2 MiB at AT are text on reserved pages, and ours: the program may have such of its own. */
static int is_reserved(uint64_t at)
{
    struct hpp_maps_line line;
    struct hpp_maps maps;
    int found = 0;

    if (hpp_maps_open(&maps))
        return 0;
    while (!found && hpp_maps_next(&maps, &line) > 0 && line.start <= at)
        found = line.end >= at + HPP_HUGE_PAGE && line.readable && line.executable && !line.writable &&
                !line.shared && hpp_text_after(line.path, "/anon_hugepage");
    hpp_maps_close(&maps);
    return found;
}

/* mremap unmaps its destination before the last thing that can fail, memory for the map's own entries. */
static int move_in(uint64_t stage, uint64_t at)
{
    for (int i = 0; i < TRIES; i++)
        if (!hpp_sys_failed(hpp_sys_mremap_fixed(stage, HPP_HUGE_PAGE, at)))
            return 1;
    return 0;
}

static void put_back(uint64_t at)
{
    volatile uint64_t *to;
    long stage;

    if (!is_reserved(at))
        return;
    stage = hpp_sys_mmap(NULL, HPP_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (hpp_sys_failed(stage))
        return;
    to = (volatile uint64_t *)stage;
    for (uint64_t i = 0; i < HPP_HUGE_PAGE / 8; i++)
        to[i] = ((const uint64_t *)at)[i];
    if (hpp_sys_madvise((uint64_t)stage, HPP_HUGE_PAGE, MADV_DONTDUMP) ||
        hpp_sys_mprotect((uint64_t)stage, HPP_HUGE_PAGE, PROT_READ | PROT_EXEC) ||
        !move_in((uint64_t)stage, at))
        hpp_sys_munmap((uint64_t)stage, HPP_HUGE_PAGE);
    atomic_fetch_add(&times, 1);
}

unsigned hpp_put_back_count(void)
{
    return atomic_load(&times);
}

static int is_in(uint64_t at)
{
    return at >= atomic_load(&lowest) && at < atomic_load(&highest);
}

/* Returns the signal mask for end_with: a handler may come here, too. */
static uint64_t begin(void)
{
    const uint64_t all = UINT64_MAX;
    int own = hpp_sys_getpid(), seen;
    uint64_t mask;

    hpp_sys_sigmask(SIG_SETMASK, &all, &mask);
    do
        seen = 0;
    while (!atomic_compare_exchange_strong(&busy, &seen, own) &&
           (seen == own || !atomic_compare_exchange_strong(&busy, &seen, own)));
    return mask;
}

static void end_with(uint64_t mask)
{
    atomic_store(&busy, 0);
    hpp_sys_sigmask(SIG_SETMASK, &mask, NULL);
}

int hpp_put_back(uint64_t start, uint64_t end)
{
    uint64_t first = start & ~(HPP_HUGE_PAGE - 1), last = end & ~(HPP_HUGE_PAGE - 1), mask;
    int cuts_first = first != start && is_in(first), cuts_last = last != end && is_in(last);

    if (end <= start || (!cuts_first && !cuts_last) || atomic_load(&hpp_sampler.sandboxed))
        return 0;
    mask = begin();
    if (cuts_first)
        put_back(first);
    if (cuts_last && (last != first || !cuts_first))
        put_back(last);
    end_with(mask);
    return 1; /* another thread may have done it */
}

void hpp_put_back_all(uint64_t start, uint64_t end)
{
    const struct hpp_remap_list *list = hpp_hot.list;
    int may_be = list && start < atomic_load(&highest) && end > atomic_load(&lowest) &&
                 !atomic_load(&hpp_sampler.sandboxed);
    unsigned count = may_be ? list->count : 0;

    for (unsigned i = 0; i < count; i++) {
        const struct hpp_remap_record *record = &list->records[i];
        uint64_t low = record->start > start ? record->start : start,
                 high = record->end < end ? record->end : end, mask;
        if (low >= high || record->backend != hpp_remap_hugetlb.name)
            continue;
        mask = begin();
        for (uint64_t at = low & ~(HPP_HUGE_PAGE - 1); at < high; at += HPP_HUGE_PAGE)
            put_back(at);
        end_with(mask);
    }
}
