/* For benchmarks of the signal handler: the calling thread sends itself the signals that its CPU timer would
 * send, and the agent's start-up code is stood in for. */
#ifndef HPP_BENCH_SELF_SIGNAL_H
#define HPP_BENCH_SELF_SIGNAL_H

#include <pthread.h>
#include <time.h>

#include "common/sys.h"
#include "profiler/checked_read.h"
#include "profiler/handler.h"
#include "profiler/sampler.h"

/* The function under which the signals are sent stands for the agent's own under main: walks end there. */
#define ROOT __attribute__((noinline, section("bench_root")))
extern const char __start_bench_root[], __stop_bench_root[];

static struct hpp_slot *slot;
static siginfo_t timer_signal;
static struct hpp_kernel_sigaction agent_action;

static inline double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline void send_signals(int count)
{
    for (int i = 0; i < count; i++)
        HPP_SYSCALL(rt_tgsigqueueinfo, hpp_sampler.pid, slot->tid, SIGPROF, &timer_signal, 0, 0);
}

/* The agent's handler in its signal frame, but with another function. */
static inline struct hpp_kernel_sigaction action_with(void (*function)(int, siginfo_t *, void *))
{
    struct hpp_kernel_sigaction action = agent_action;
    action.handler = (void *)function;
    return action;
}

/* What the agent's start-up code does, but for the timer. Returns 0 or -1. */
static inline int set_up_sampler(unsigned depth)
{
    static struct hpp_arena arena, scratch;
    static struct hpp_segment root;
    const struct hpp_code_map *map;
    const struct hpp_code_range *range;
    pthread_attr_t attributes;
    void *stack;
    size_t stack_size;

    hpp_sampler.depth = depth;
    if (hpp_sampler_init(HPP_MEMORY_DEFAULT) || hpp_checked_read_open() ||
        hpp_image_scan(&arena, &scratch, NULL, (uint64_t)(uintptr_t)set_up_sampler, &map))
        return -1;
    range = hpp_image_find(map, (uint64_t)(uintptr_t)__start_bench_root);
    slot = hpp_slot_claim();
    if (!range || !slot || pthread_getattr_np(pthread_self(), &attributes) ||
        pthread_attr_getstack(&attributes, &stack, &stack_size))
        return -1;
    atomic_store(&hpp_sampler.code, map);
    root = *range->segment;
    root.start = (uint64_t)(uintptr_t)__start_bench_root;
    root.end = (uint64_t)(uintptr_t)__stop_bench_root;
    hpp_sampler.agent = &root;
    slot->stack_low = (uint64_t)stack;
    slot->stack_end = slot->stack_low + stack_size;
    atomic_store(&slot->state, HPP_SLOT_ACTIVE);
    timer_signal.si_signo = SIGPROF;
    timer_signal.si_code = SI_TIMER;
    timer_signal.si_value.sival_ptr = (void *)(uintptr_t)slot->value;
    if (hpp_handler_install())
        return -1;
    hpp_sys_sigaction(SIGPROF, NULL, &agent_action);
    return 0;
}

#endif
