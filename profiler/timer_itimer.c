/* One interval timer for the process: setitimer(2), the last resort. Called by the threads at start and end,
 * and by the handler. */
#include <signal.h>
#include <sys/time.h>

#include "common/sys.h"
#include "profiler/sampler.h"
#include "profiler/source.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

static _Atomic int the_process; /* whose timer runs */
static _Atomic int the_program; /* the process that has it for itself */
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
    if (atomic_load(&the_program) == hpp_sampler.pid)
        return 0;
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

int hpp_timer_itimer_is_ours(void)
{
    return hpp_sampler.timer == HPP_TIMER_ITIMER && atomic_load(&the_program) != hpp_sampler.pid;
}

void hpp_timer_itimer_give_up(void)
{
    const uint64_t profile_signal = 1ull << (SIGPROF - 1);
    const struct timespec at_once = {0, 0};
    siginfo_t info;

    hpp_timer_itimer_stop();
    /* one that waits where the program has it blocked */
    if (HPP_SYSCALL(rt_sigtimedwait, &profile_signal, &info, &at_once, sizeof profile_signal, 0, 0) ==
            SIGPROF &&
        info.si_code != SI_KERNEL)
        HPP_SYSCALL(kill, hpp_sampler.pid, SIGPROF, 0, 0, 0, 0);
    atomic_store(&the_program, hpp_sampler.pid);
    atomic_store(&hpp_writer.note, "the program uses ITIMER_PROF itself: no samples since");
}

void hpp_timer_itimer_change(uint32_t multiplier)
{
    if (atomic_exchange(&the_multiplier, multiplier) != multiplier && atomic_load(&the_process))
        set(hpp_sampler.period * multiplier);
}

uint64_t hpp_timer_itimer_value(void)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);
    int tid;

    if (!hpp_timer_itimer_is_ours())
        return 0;
    tid = hpp_sys_gettid();
    for (uint32_t i = 0; i < used && atomic_load(&the_process); i++)
        if (hpp_sampler.slots[i].tid == tid && atomic_load(&hpp_sampler.slots[i].state) == HPP_SLOT_ACTIVE) {
            hpp_sampler.slots[i].multiplier = atomic_load(&the_multiplier);
            return hpp_sampler.slots[i].value;
        }
    return HPP_SLOT_NOBODY;
}
