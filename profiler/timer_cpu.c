/* A CPU timer for each thread: timer_create(2) on the thread's own clock. Called by the threads at start and
 * end, and by a handler for a thread that cannot do it itself. */
#include <signal.h>

#include "common/sys.h"
#include "profiler/sampler.h"
#include "profiler/source.h"
#include "profiler/signal_safe.h"

/* struct sigevent as the kernel has it (include/uapi/asm-generic/siginfo.h): 64 bytes. */
struct kernel_sigevent {
    uint64_t value;
    int signal;
    int notify;
    int tid;
    int padding[11];
};

#define KERNEL_SIGEV_THREAD_ID 4

/* A number in 1..LIMIT; splitmix64 over the clock and the thread, so that threads do not tick together. */
static uint64_t random_phase(uint64_t limit, int tid)
{
    uint64_t z = hpp_arch_ticks() + (uint64_t)tid * 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) % limit + 1;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

static int the_prepared = -1; /* a timer that is not set yet */

static long create(const struct hpp_slot *slot, int *timer)
{
    struct kernel_sigevent event = {
        .value = slot->value, .signal = SIGPROF, .notify = KERNEL_SIGEV_THREAD_ID, .tid = slot->tid};

    return HPP_SYSCALL(timer_create, hpp_sys_thread_clock(slot->tid), &event, timer, 0, 0, 0);
}

int hpp_timer_cpu_prepare(struct hpp_slot *slot)
{
    return (int)create(slot, &the_prepared);
}

int hpp_timer_cpu_arm(struct hpp_slot *slot)
{
    uint32_t multiplier = atomic_load(&hpp_sampler.multiplier);
    uint64_t period = hpp_sampler.period * multiplier, phase = random_phase(period, slot->tid);
    struct itimerspec when = {timespec_of(period), timespec_of(phase)};
    int timer = the_prepared, before;
    long error = timer < 0 ? create(slot, &timer) : 0;

    if (error)
        return (int)error;
    the_prepared = -1;
    before = __atomic_exchange_n(&slot->timer, timer, __ATOMIC_SEQ_CST);
    if (before >= 0) /* another thread did so at the same moment */
        HPP_SYSCALL(timer_delete, before, 0, 0, 0, 0, 0);
    slot->multiplier = multiplier;
    slot->first_at = hpp_sys_now(hpp_sys_thread_clock(slot->tid)) + phase;
    slot->first_weight = slot->weight;
    return (int)HPP_SYSCALL(timer_settime, timer, 0, &when, NULL, 0, 0);
}

int hpp_timer_cpu_disarm(struct hpp_slot *slot)
{
    /* the thread at its end and another at the process's end may meet here */
    int timer = __atomic_exchange_n(&slot->timer, -1, __ATOMIC_SEQ_CST);

    if (timer >= 0)
        HPP_SYSCALL(timer_delete, timer, 0, 0, 0, 0, 0);
    return timer >= 0;
}

uint64_t hpp_timer_cpu_owed(const struct hpp_slot *slot, uint64_t now)
{
    uint64_t due = slot->first_weight;

    if (now >= slot->first_at)
        due += slot->multiplier * (1 + (now - slot->first_at) / (hpp_sampler.period * slot->multiplier));
    return due > slot->weight ? due - slot->weight : 0;
}

void hpp_timer_cpu_change(struct hpp_slot *slot, uint32_t multiplier)
{
    uint64_t before = hpp_sampler.period * slot->multiplier, after = hpp_sampler.period * multiplier;
    uint64_t left, gone;
    struct itimerspec when;

    if (slot->timer < 0 || HPP_SYSCALL(timer_gettime, slot->timer, &when, 0, 0, 0, 0))
        return;
    /* the time since the last signal is not lost */
    left = (uint64_t)when.it_value.tv_sec * 1000000000u + (uint64_t)when.it_value.tv_nsec;
    gone = left < before ? before - left : 0;
    left = gone < after ? after - gone : 1;
    when = (struct itimerspec){timespec_of(after), timespec_of(left)};
    if (HPP_SYSCALL(timer_settime, slot->timer, 0, &when, NULL, 0, 0))
        return;
    slot->multiplier = multiplier;
    slot->first_at = hpp_sys_now(CLOCK_THREAD_CPUTIME_ID) + left;
    slot->first_weight = slot->weight;
}
