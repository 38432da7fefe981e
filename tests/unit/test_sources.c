/* Whose a SIGPROF is, timers made for another thread, and the period that follows the budget. */
#include "common/sys.h"
#include "profiler/adopt.h"
#include "profiler/source.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    assert_int_equal(hpp_sampler_init(HPP_MEMORY_DEFAULT), 0);
    hpp_sampler.period = 1000000;
    hpp_sampler.timer = HPP_TIMER_CPU;
    return 0;
}

static uint64_t value_of(int code, void *value, int overrun, uint32_t *weight)
{
    siginfo_t info = {.si_signo = SIGPROF, .si_code = code};

    info.si_value.sival_ptr = value;
    if (code == SI_TIMER)
        info.si_overrun = overrun;
    return hpp_source_value(&info, weight);
}

static void test_whose_signal(void **state)
{
    struct hpp_slot *slot = hpp_slot_claim();
    void *ours = (void *)(uintptr_t)slot->value;
    uint32_t weight;

    (void)state;
    assert_int_equal(value_of(SI_TIMER, ours, 3, &weight), slot->value);
    assert_int_equal(weight, 4);
    assert_int_equal(value_of(SI_TIMER, (void *)0x1234, 0, &weight), 0);
    assert_int_equal(value_of(SI_USER, NULL, 0, &weight), 0);
    assert_int_equal(value_of(SI_KERNEL, NULL, 0, &weight), 0);
    assert_int_equal(value_of(POLL_IN, NULL, 0, &weight), 0);
    assert_int_equal(value_of(SI_QUEUE, (void *)0x1234, 0, &weight), 0);
    /* one that only has a handler run is ours, and no sample */
    assert_int_equal(value_of(SI_QUEUE, ours, 0, &weight), HPP_SLOT_NOBODY);
    assert_int_equal(weight, 0);
    assert_null(hpp_slot_of(HPP_SLOT_NOBODY));
    assert_true(hpp_slot_is_value(HPP_SLOT_NOBODY));
    hpp_slot_end(slot);
}

static void test_interval_timer_finds_the_thread(void **state)
{
    struct hpp_slot *slot = hpp_slot_claim();
    uint32_t weight;

    (void)state;
    hpp_sampler.timer = HPP_TIMER_ITIMER;
    signal(SIGPROF, SIG_IGN);
    assert_int_equal(hpp_timer_arm(slot), 0);
    assert_int_equal(value_of(SI_KERNEL, NULL, 0, &weight), slot->value);
    hpp_timer_itimer_stop();
    assert_int_equal(value_of(SI_KERNEL, NULL, 0, &weight), HPP_SLOT_NOBODY);
    signal(SIGPROF, SIG_DFL);
    hpp_slot_end(slot);
    hpp_sampler.timer = HPP_TIMER_CPU;
}

static uint64_t interval(const struct hpp_slot *slot)
{
    struct itimerspec when;

    assert_int_equal(HPP_SYSCALL(timer_gettime, slot->timer, &when, 0, 0, 0, 0), 0);
    return (uint64_t)when.it_interval.tv_sec * 1000000000u + (uint64_t)when.it_interval.tv_nsec;
}

static void test_period_changes(void **state)
{
    struct hpp_slot *slot = hpp_slot_claim();

    (void)state;
    hpp_sampler.period = 50000000;
    signal(SIGPROF, SIG_IGN);
    assert_int_equal(hpp_timer_arm(slot), 0);
    assert_int_equal(slot->multiplier, 1);
    hpp_timer_cpu_change(slot, 8);
    assert_int_equal(slot->multiplier, 8);
    assert_int_equal(interval(slot), 8 * hpp_sampler.period);
    hpp_timer_cpu_change(slot, 1);
    assert_int_equal(interval(slot), hpp_sampler.period);
    hpp_timer_disarm(slot);
    hpp_timer_cpu_change(slot, 2); /* nothing to change */
    assert_int_equal(slot->multiplier, 1);
    signal(SIGPROF, SIG_DFL);
    hpp_slot_end(slot);
    hpp_sampler.period = 1000000;
}

/* What a timer owes: what had expired by then, less what signals have come for. */
static void test_owed(void **state)
{
    const uint64_t period = hpp_sampler.period;
    struct hpp_slot slot = {.timer = 1, .first_at = 5 * period, .multiplier = 1};

    (void)state;
    assert_int_equal(hpp_timer_cpu_owed(&slot, 0), 0);
    assert_int_equal(hpp_timer_cpu_owed(&slot, 5 * period - 1), 0);
    assert_int_equal(hpp_timer_cpu_owed(&slot, 5 * period), 1);
    assert_int_equal(hpp_timer_cpu_owed(&slot, 9 * period), 5);
    slot.weight = 4;
    assert_int_equal(hpp_timer_cpu_owed(&slot, 9 * period), 1);
    slot.weight = 6;
    assert_int_equal(hpp_timer_cpu_owed(&slot, 9 * period), 0);
    /* armed anew at another rate */
    slot.first_weight = 6;
    slot.first_at = 20 * period;
    slot.multiplier = 8;
    assert_int_equal(hpp_timer_cpu_owed(&slot, 19 * period), 0);
    assert_int_equal(hpp_timer_cpu_owed(&slot, 36 * period - 1), 16);
}

/* The time of the first expiry is known, in the thread's own clock. */
static void test_first_at(void **state)
{
    struct hpp_slot *slot = hpp_slot_claim();
    uint64_t before = hpp_sys_now(CLOCK_THREAD_CPUTIME_ID);

    (void)state;
    signal(SIGPROF, SIG_IGN);
    slot->weight = 7;
    assert_int_equal(hpp_timer_arm(slot), 0);
    assert_in_range(slot->first_at, before + 1, hpp_sys_now(CLOCK_THREAD_CPUTIME_ID) + hpp_sampler.period);
    assert_int_equal(slot->first_weight, 7);
    hpp_timer_cpu_change(slot, 2);
    assert_in_range(slot->first_at, before + 1,
                    hpp_sys_now(CLOCK_THREAD_CPUTIME_ID) + 2 * hpp_sampler.period);
    assert_true(hpp_timer_disarm(slot));
    assert_false(hpp_timer_disarm(slot));
    signal(SIGPROF, SIG_DFL);
    hpp_slot_end(slot);
}

static pthread_barrier_t both;

static void *wait_twice(void *tid)
{
    *(int *)tid = gettid();
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both);
    return NULL;
}

static void test_timer_of_another_thread(void **state)
{
    pthread_t thread;
    struct hpp_slot *slot;
    int tid;

    (void)state;
    pthread_barrier_init(&both, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, wait_twice, &tid), 0);
    pthread_barrier_wait(&both);
    slot = hpp_slot_claim_for(tid);
    assert_int_equal(slot->tid, tid);
    assert_int_equal(slot->stack_end, 0);
    assert_int_equal(hpp_timer_cpu_arm(slot), 0);
    assert_true(slot->timer >= 0);
    hpp_timer_disarm(slot);
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL); /* which returns a moment before the kernel has let go of it */
    while (!tgkill(getpid(), tid, 0))
        sched_yield();
    /* it is gone: no timer, no harm */
    assert_int_not_equal(hpp_timer_cpu_arm(slot), 0);
    hpp_timer_disarm(slot);
    hpp_slot_end(slot);
}

static void test_nobody_waits(void **state)
{
    (void)state;
    atomic_store(&hpp_adopt_waiting, 1);
    hpp_adopt_serve();
    assert_int_equal(atomic_load(&hpp_adopt_waiting), 0);
    atomic_store(&hpp_adopt_waiting, 1);
    hpp_adopt_after_fork();
    assert_int_equal(atomic_load(&hpp_adopt_waiting), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whose_signal),   cmocka_unit_test(test_interval_timer_finds_the_thread),
        cmocka_unit_test(test_period_changes), cmocka_unit_test(test_owed),
        cmocka_unit_test(test_first_at),       cmocka_unit_test(test_timer_of_another_thread),
        cmocka_unit_test(test_nobody_waits),
    };
    return cmocka_run_group_tests_name("sources", tests, setup, NULL);
}
