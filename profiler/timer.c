/* What gives each thread its signals, whichever source it is (source.h). Called by the threads themselves at
 * start and end; hpp_source_value by the handler. */
#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "common/sys.h"
#include "profiler/adopt.h"
#include "profiler/sampler.h"
#include "profiler/source.h"
#include "profiler/signal_safe.h"

static int arm(struct hpp_slot *slot)
{
    int error;

    switch (hpp_sampler.timer) {
    case HPP_TIMER_PERF:
        error = hpp_timer_perf_arm(slot);
        /* no writer that could open it */
        return error == -ESRCH && hpp_sampler.event == HPP_EVENT_CPU ? hpp_timer_cpu_arm(slot) : error;
    case HPP_TIMER_ITIMER:
        return hpp_timer_itimer_arm(slot);
    default:
        return hpp_timer_cpu_arm(slot);
    }
}

int hpp_timer_arm(struct hpp_slot *slot)
{
    int error = -ECANCELED;

    slot->untold_from = slot->cpu_begin = hpp_sys_now(CLOCK_THREAD_CPUTIME_ID);
    atomic_store(&slot->state, HPP_SLOT_ACTIVE);
    if (atomic_load(&hpp_sampler.paused))
        return 0;
    if (!atomic_load(&hpp_sampler.stopped))
        error = arm(slot);
    if (error) {
        hpp_timer_disarm(slot);
        atomic_fetch_add(&hpp_sampler.unsampled, 1);
    }
    if (atomic_load(&hpp_sampler.paused)) /* just now */
        hpp_timer_disarm(slot);
    return error;
}

int hpp_timer_disarm(struct hpp_slot *slot)
{
    return hpp_timer_cpu_disarm(slot); /* the other sources have none of their own in the slot */
}

void hpp_sampler_stop(void)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    atomic_store(&hpp_sampler.stopped, 1);
    if (hpp_sampler.timer == HPP_TIMER_ITIMER)
        hpp_timer_itimer_stop();
    for (uint32_t i = 0; i < used; i++)
        if (atomic_load(&hpp_sampler.slots[i].state) == HPP_SLOT_ACTIVE)
            hpp_timer_disarm(&hpp_sampler.slots[i]);
}

/* A kernel without memory for the signal's details says that it is a user's, of process 0. */
static int has_no_details(const siginfo_t *info)
{
    return info->si_code == SI_USER && !info->si_pid && !info->si_uid;
}

static uint64_t value_of_event(int fd)
{
    uint64_t value = hpp_timer_perf_value(fd);
    struct hpp_slot *slot = hpp_slot_of(value);

    /* the timer that stood in for it */
    if (slot && slot->timer >= 0 && !atomic_load(&hpp_sampler.sandboxed))
        hpp_timer_cpu_disarm(slot);
    return value;
}

uint64_t hpp_source_value(const siginfo_t *info, uint32_t *weight)
{
    uint64_t value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;

    *weight = 1;
    if (info->si_code == SI_TIMER) {
        *weight += (uint32_t)info->si_overrun;
        return hpp_slot_is_value(value) ? value : 0;
    }
    if (info->si_code == SI_QUEUE && hpp_adopt_is_call(info)) {
        *weight = 0;
        return HPP_SLOT_NOBODY;
    }
    if (hpp_sampler.timer == HPP_TIMER_PERF && (info->si_code == POLL_IN || info->si_code == POLL_HUP))
        return value_of_event(info->si_fd);
    if (hpp_sampler.timer == HPP_TIMER_PERF && has_no_details(info))
        return HPP_SLOT_NOBODY;
    if (hpp_sampler.timer == HPP_TIMER_ITIMER && info->si_code == SI_KERNEL)
        return hpp_timer_itimer_value();
    return 0;
}
