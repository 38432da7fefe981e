/* The table of sampled threads: claim, end, generations, values that are not ours. */
#include "profiler/sampler.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    assert_int_equal(hpp_sampler_init(HPP_MEMORY_DEFAULT), 0);
    hpp_sampler.period = 1000000000 / 99;
    return 0;
}

/* A sample of the slot's thread, and how the writer takes it. */
static void put_sample(struct hpp_slot *slot)
{
    struct hpp_ring *ring = hpp_sampler.rings[slot->home];
    uint64_t *record = hpp_ring_reserve(ring, HPP_DEPTH_MAX);

    record[0] = HPP_RECORD(1, 1, 1);
    record[2] = HPP_RECORD_OF(slot - hpp_sampler.slots, 0);
    slot->put++;
    hpp_ring_commit(ring, HPP_RECORD_WORDS + 1);
}

static void take_sample(struct hpp_slot *slot)
{
    struct hpp_ring *ring = hpp_sampler.rings[slot->home];
    uint64_t *record = hpp_ring_peek(ring);

    assert_int_equal(HPP_RECORD_SLOT(record[2]), slot - hpp_sampler.slots);
    hpp_ring_consume(ring, record);
    hpp_slot_taken(slot, 1);
}

/* Claims until SLOT is the one. */
static void claim_again(struct hpp_slot *slot)
{
    for (unsigned i = 0; hpp_slot_claim() != slot; i++)
        assert_in_range(i, 0, HPP_SLOTS);
}

static void test_life(void **state)
{
    struct hpp_slot *slot = hpp_slot_claim(), *other;
    uint64_t value;

    (void)state;
    assert_non_null(slot);
    assert_int_equal(slot->state, HPP_SLOT_CLAIMED);
    assert_int_equal(slot->tid, gettid());
    assert_int_equal(slot->timer, -1);
    assert_in_range(slot->home, 0, hpp_sampler.ring_count - 1);
    assert_null(hpp_ring_peek(hpp_sampler.rings[slot->home]));
    value = slot->value;
    assert_true(hpp_slot_is_value(value));
    assert_null(hpp_slot_of(value)); /* not before its timer may run */
    slot->state = HPP_SLOT_ACTIVE;
    assert_ptr_equal(hpp_slot_of(value), slot);
    other = hpp_slot_claim();
    assert_ptr_not_equal(other, slot);
    assert_int_not_equal(other->value, value);
    put_sample(slot);
    hpp_slot_end(slot);
    assert_null(hpp_slot_of(value));
    assert_ptr_not_equal(hpp_slot_claim(), slot); /* its ring has not been read */
    assert_int_equal(slot->state, HPP_SLOT_ENDED);
    take_sample(slot);
    assert_int_equal(slot->state, HPP_SLOT_FREE);
    claim_again(slot);
    assert_int_not_equal(slot->value, value);
    slot->state = HPP_SLOT_ACTIVE;
    assert_null(hpp_slot_of(value)); /* the thread before it */
    assert_ptr_equal(hpp_slot_of(slot->value), slot);
}

static void test_generations(void **state)
{
    enum { LIVES = 1000 };
    struct hpp_slot *slot = hpp_slot_claim();
    uint64_t values[LIVES];

    (void)state;
    for (int life = 0; life < LIVES; life++) {
        values[life] = slot->value;
        slot->state = HPP_SLOT_ACTIVE;
        for (int before = 0; before < life; before++)
            assert_null(hpp_slot_of(values[before]));
        assert_ptr_equal(hpp_slot_of(values[life]), slot);
        hpp_slot_end(slot); /* without a sample it is free at once */
        claim_again(slot);
    }
    /* the generation's own wrap leaves mark and index alone */
    slot->value |= 0xffffffffull << 16;
    hpp_slot_end(slot);
    claim_again(slot);
    slot->state = HPP_SLOT_ACTIVE;
    assert_true(hpp_slot_is_value(slot->value));
    assert_ptr_equal(hpp_slot_of(slot->value), slot);
}

static void test_foreign_values(void **state)
{
    struct hpp_slot *slot = hpp_slot_claim();

    (void)state;
    slot->state = HPP_SLOT_ACTIVE;
    assert_false(hpp_slot_is_value(0));
    assert_false(hpp_slot_is_value(UINT64_MAX));
    assert_false(hpp_slot_is_value((uint64_t)(uintptr_t)slot));
    assert_null(hpp_slot_of(0));
    assert_null(hpp_slot_of(UINT64_MAX));
    assert_null(hpp_slot_of(slot->value | 0xffff)); /* an index outside the table */
    assert_null(hpp_slot_of((slot->value & ~0xffffull) | HPP_SLOTS));
    for (int bit = 0; bit < 64; bit++)
        assert_null(hpp_slot_of(slot->value ^ (uint64_t)1 << bit));
}

enum { THREADS = 8, CLAIMS = 100 };

static void *claim_some(void *claimed)
{
    struct hpp_slot **slots = claimed;

    for (int i = 0; i < CLAIMS; i++) {
        slots[i] = hpp_slot_claim();
        if (slots[i] && i % 3 == 0) { /* comes and goes */
            hpp_slot_end(slots[i]);
            slots[i] = NULL;
        }
    }
    return NULL;
}

static int by_address(const void *left, const void *right)
{
    uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;
    return (a > b) - (a < b);
}

/* No two threads get the same slot. */
static void test_threads(void **state)
{
    static struct hpp_slot *claimed[THREADS][CLAIMS];
    struct hpp_slot **all = &claimed[0][0];
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, claim_some, claimed[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    qsort(all, THREADS * CLAIMS, sizeof all[0], by_address);
    for (int i = 1; i < THREADS * CLAIMS; i++)
        assert_true(!all[i] || all[i] != all[i - 1]);
    assert_non_null(all[THREADS * CLAIMS * 4 / 10]);
}

/* A table that is full: counted, and good again when a slot is free. */
static void test_full(void **state)
{
    uint64_t before = hpp_sampler.unsampled;
    struct hpp_slot *last = NULL;

    (void)state;
    for (struct hpp_slot *slot; (slot = hpp_slot_claim());)
        last = slot;
    assert_non_null(last);
    assert_int_equal(hpp_sampler.slots_used, HPP_SLOTS);
    assert_int_equal(hpp_sampler.unsampled, before + 1);
    assert_null(hpp_slot_claim());
    assert_int_equal(hpp_sampler.unsampled, before + 2);
    put_sample(last);
    hpp_slot_end(last);
    assert_null(hpp_slot_claim());
    take_sample(last);
    assert_ptr_equal(hpp_slot_claim(), last);
    assert_int_equal(hpp_sampler.unsampled, before + 3);
}

static size_t mapped_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages;

    assert_int_equal(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages;
}

/* Ten thousand threads one after the other, each with a sample, need no memory and no more slots than there
 * are at once; that many at once share the rings that HPPROF_MEMORY has room for. */
static void test_many(void **state)
{
    enum { MANY = 10000 };
    static struct hpp_slot *slots[MANY];
    const size_t ring = sizeof(struct hpp_ring);
    size_t before;

    (void)state;
    hpp_sampler_after_fork(NULL);
    hpp_sampler.slots_used = 0;
    before = mapped_pages();
    for (int i = 0; i < MANY; i++) {
        struct hpp_slot *slot = hpp_slot_claim();
        slot->state = HPP_SLOT_ACTIVE;
        put_sample(slot);
        if (i % 2)
            take_sample(slot);
        hpp_slot_end(slot);
        if (!(i % 2))
            take_sample(slot);
        assert_int_equal(slot->state, HPP_SLOT_FREE);
    }
    assert_in_range(hpp_sampler.slots_used, 1, 2);
    assert_in_range(mapped_pages() - before, 0, 2 * ring / 4096);
    for (int i = 0; i < MANY; i++) {
        slots[i] = hpp_slot_claim();
        assert_non_null(slots[i]);
        assert_in_range(slots[i]->home, 0, hpp_sampler.ring_count - 1);
    }
    assert_int_equal(hpp_sampler.rings_used, hpp_sampler.ring_count);
    /* no more than these, and the parts of the table that they are in */
    assert_in_range(mapped_pages() - before, 0, HPP_MEMORY_DEFAULT / 4096);
    assert_in_range(hpp_sampler.ring_count * ring, HPP_MEMORY_DEFAULT - ring, HPP_MEMORY_DEFAULT);
    for (int i = 0; i < MANY; i++)
        hpp_slot_end(slots[i]);
}

/* In a fork child no thread of before is there, its values mean nothing, and what rings held is gone. */
static void test_after_fork(void **state)
{
    struct hpp_slot *slot = &hpp_sampler.slots[3];
    uint64_t value = slot->value;
    uint32_t home = slot->home;

    (void)state;
    slot->state = HPP_SLOT_ACTIVE;
    hpp_sampler.dropped = 5;
    slot->timer = 12345;
    put_sample(slot);
    assert_ptr_equal(hpp_slot_of(value), slot);
    hpp_sampler_after_fork(atomic_load(&hpp_sampler.code));
    assert_int_equal(hpp_sampler.pid, getpid());
    assert_int_equal(hpp_sampler.unsampled, 0);
    assert_null(hpp_slot_of(value));
    assert_null(hpp_ring_peek(hpp_sampler.rings[home]));
    assert_int_equal(hpp_sampler.dropped, 0);
    for (uint32_t i = 0; i < hpp_sampler.slots_used; i++) {
        assert_int_equal(hpp_sampler.slots[i].state, HPP_SLOT_FREE);
        assert_int_equal(hpp_sampler.slots[i].timer, -1);
        assert_int_equal(hpp_sampler.slots[i].put, hpp_sampler.slots[i].taken);
    }
    claim_again(slot);
    slot->state = HPP_SLOT_ACTIVE;
    assert_int_not_equal(slot->value, value);
    assert_null(hpp_slot_of(value));
}

static volatile sig_atomic_t signals;
static uint64_t seen_value;

static void count_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    if (info->si_code == SI_TIMER)
        seen_value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    signals++;
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The timer's signals carry the slot's value; disarmed, none come. */
static void test_timer(void **state)
{
    struct sigaction action = {.sa_sigaction = count_signal, .sa_flags = SA_SIGINFO};
    struct hpp_slot *slot = hpp_slot_claim();
    uint64_t until;

    (void)state;
    sigaction(SIGPROF, &action, NULL);
    assert_int_equal(hpp_timer_arm(slot), 0);
    assert_int_equal(slot->state, HPP_SLOT_ACTIVE);
    while (signals < 3)
        cpu_ns(); /* a sanitizer delivers signals at calls */
    assert_int_equal(seen_value, slot->value);
    assert_ptr_equal(hpp_slot_of(seen_value), slot);
    hpp_timer_disarm(slot);
    assert_int_equal(slot->timer, -1);
    signals = 0;
    for (until = cpu_ns() + 10 * hpp_sampler.period; cpu_ns() < until;)
        ;
    assert_int_equal(signals, 0);
    hpp_timer_disarm(slot); /* a second time is harmless */
    hpp_slot_end(slot);
}

/* Stopped for good: what runs is disarmed, and nothing can be armed any more. */
static void test_stop(void **state)
{
    struct hpp_slot *slot = hpp_slot_claim(), *late = hpp_slot_claim();
    uint64_t unsampled = hpp_sampler.unsampled;

    (void)state;
    assert_int_equal(hpp_timer_arm(slot), 0);
    hpp_sampler_stop();
    assert_int_equal(slot->timer, -1);
    assert_int_equal(hpp_timer_arm(late), -ECANCELED);
    assert_int_equal(hpp_sampler.unsampled, unsampled + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),           cmocka_unit_test(test_generations),
        cmocka_unit_test(test_foreign_values), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_full),           cmocka_unit_test(test_after_fork),
        cmocka_unit_test(test_many),           cmocka_unit_test(test_timer),
        cmocka_unit_test(test_stop),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
