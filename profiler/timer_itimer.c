/* One interval timer for the process: setitimer(2), the last resort. Called by the threads at start and end,
 * and by the handler. */
#include <sys/time.h>

#include "common/sys.h"
#include "profiler/sampler.h"
#include "profiler/source.h"
#include "profiler/signal_safe.h"

static _Atomic int the_process; /* whose timer runs */
static _Atomic uint32_t the_multiplier;

static int set(uint64_t ns)
{
    struct timeval time = {(time_t)(ns / 1000000000u), (suseconds_t)(ns % 1000000000u / 1000)};
    struct itimerval value = {time, time};

    return (int)HPP_SYSCALL(setitimer, ITIMER_PROF, &value, NULL, 0, 0, 0);
}

int hpp_timer_itimer_arm(struct hpp_slot *slot)
{
    uint32_t multiplier = atomic_load(&hpp_sampler.multiplier);

    (void)slot;
    if (atomic_exchange(&the_process, hpp_sampler.pid) == hpp_sampler.pid)
        return 0;
    atomic_store(&the_multiplier, multiplier);
    return set(hpp_sampler.period * multiplier);
}

void hpp_timer_itimer_stop(void)
{
    if (atomic_exchange(&the_process, 0) == hpp_sampler.pid)
        set(0);
}

void hpp_timer_itimer_change(uint32_t multiplier)
{
    if (atomic_exchange(&the_multiplier, multiplier) != multiplier && atomic_load(&the_process))
        set(hpp_sampler.period * multiplier);
}

uint64_t hpp_timer_itimer_value(void)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);
    int tid = hpp_sys_gettid();

    for (uint32_t i = 0; i < used && atomic_load(&the_process); i++)
        if (hpp_sampler.slots[i].tid == tid && atomic_load(&hpp_sampler.slots[i].state) == HPP_SLOT_ACTIVE) {
            hpp_sampler.slots[i].multiplier = atomic_load(&the_multiplier);
            return hpp_sampler.slots[i].value;
        }
    return HPP_SLOT_NOBODY;
}
