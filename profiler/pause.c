/* Stopping and starting the sampling of all threads. */
#include "profiler/pause.h"

#include <errno.h>

#include "common/sys.h"
#include "profiler/accounts.h"
#include "profiler/sampler.h"
#include "profiler/source.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

static atomic_int someone_is_at_it;

static void stop_thread(struct hpp_slot *slot)
{
    slot->untold_from = hpp_sys_now(hpp_sys_thread_clock(slot->tid));
    hpp_timer_disarm(slot);
}

static void start_thread(struct hpp_slot *slot)
{
    uint64_t now = hpp_sys_now(hpp_sys_thread_clock(slot->tid)), value = slot->value;

    if (slot->timer >= 0)
        return;
    if (now > slot->untold_from)
        slot->untold += now - slot->untold_from;
    if ((hpp_sampler.timer == HPP_TIMER_CPU || hpp_timer_perf_is_refused(slot)) && hpp_timer_cpu_arm(slot))
        hpp_timer_disarm(slot);
    /* it may have ended meanwhile, or the slot be another's */
    if (atomic_load(&slot->state) != HPP_SLOT_ACTIVE || slot->value != value)
        hpp_timer_disarm(slot);
}

static void for_all(void (*act)(struct hpp_slot *slot))
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    for (uint32_t i = 0; i < used; i++)
        if (atomic_load(&hpp_sampler.slots[i].state) == HPP_SLOT_ACTIVE)
            act(&hpp_sampler.slots[i]);
}

/* Has the writer open or close perf's events. */
static void tell_writer(void)
{
    if (hpp_sampler.timer == HPP_TIMER_PERF) {
        hpp_timer_perf_ask();
        atomic_fetch_add(&hpp_writer.wake, 1);
        hpp_sys_futex_wake(&hpp_writer.wake);
    }
}

void hpp_pause_from_start(void)
{
    atomic_store(&hpp_sampler.paused, 1);
    hpp_accounts_pause(hpp_accounts_cpu_begin());
}

int hpp_pause(void)
{
    if (atomic_exchange(&someone_is_at_it, 1))
        return -EBUSY;
    if (!atomic_load(&hpp_sampler.stopped) && !atomic_exchange(&hpp_sampler.paused, 1)) {
        hpp_accounts_pause(hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID));
        if (hpp_sampler.timer == HPP_TIMER_ITIMER)
            hpp_timer_itimer_stop();
        for_all(stop_thread);
        tell_writer();
    }
    atomic_store(&someone_is_at_it, 0);
    return 0;
}

int hpp_resume(void)
{
    if (atomic_exchange(&someone_is_at_it, 1))
        return -EBUSY;
    if (!atomic_load(&hpp_sampler.stopped) && atomic_load(&hpp_sampler.paused)) {
        hpp_accounts_resume(hpp_sys_now(CLOCK_PROCESS_CPUTIME_ID));
        atomic_store(&hpp_sampler.paused, 0);
        for_all(start_thread);
        if (hpp_sampler.timer == HPP_TIMER_ITIMER)
            hpp_timer_itimer_arm(NULL);
        tell_writer();
    }
    atomic_store(&someone_is_at_it, 0);
    return 0;
}

void hpp_pause_after_fork(void)
{
    atomic_store(&someone_is_at_it, 0);
    if (atomic_load(&hpp_sampler.paused))
        hpp_accounts_pause(0);
}
