/* The per-thread CPU timers. Called by the threads themselves at start and end; never by the handler. */
#include <errno.h>
#include <signal.h>

#include "common/sys.h"
#include "profiler/sampler.h"
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
static uint64_t random_phase(uint64_t limit)
{
    uint64_t z = hpp_arch_ticks() + (uint64_t)hpp_sys_gettid() * 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) % limit + 1;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

int hpp_timer_arm(struct hpp_slot *slot)
{
    struct kernel_sigevent event = {
        .value = slot->value, .signal = SIGPROF, .notify = KERNEL_SIGEV_THREAD_ID, .tid = slot->tid};
    struct itimerspec when = {timespec_of(hpp_sampler.period), timespec_of(random_phase(hpp_sampler.period))};
    int timer = -1;
    long error = -ECANCELED;

    slot->cpu_begin = hpp_sys_now(CLOCK_THREAD_CPUTIME_ID);
    atomic_store(&slot->state, HPP_SLOT_ACTIVE);
    if (!atomic_load(&hpp_sampler.stopped))
        error = HPP_SYSCALL(timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &timer, 0, 0, 0);
    if (!error) {
        slot->timer = timer;
        error = HPP_SYSCALL(timer_settime, timer, 0, &when, NULL, 0, 0);
    }
    if (error) {
        hpp_timer_disarm(slot);
        atomic_fetch_add(&hpp_sampler.unsampled, 1);
    }
    return (int)error;
}

void hpp_timer_disarm(struct hpp_slot *slot)
{
    /* the thread at its end and another at the process's end may meet here */
    int timer = __atomic_exchange_n(&slot->timer, -1, __ATOMIC_SEQ_CST);

    if (timer >= 0)
        HPP_SYSCALL(timer_delete, timer, 0, 0, 0, 0, 0);
}

void hpp_sampler_stop(void)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    atomic_store(&hpp_sampler.stopped, 1);
    for (uint32_t i = 0; i < used; i++)
        if (atomic_load(&hpp_sampler.slots[i].state) == HPP_SLOT_ACTIVE)
            hpp_timer_disarm(&hpp_sampler.slots[i]);
}
