/* Where the handler puts its samples: rings that others have or that are full, what is dropped and counted,
 * and whose each record is. The handler is called as a function, with what the kernel would give it. */
#include "profiler/handler.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>

#include "profiler/sampler.h"

enum { DEPTH = 16 };

static struct hpp_arena images, map_memory;

static int setup(void **state)
{
    const struct hpp_code_map *map;

    (void)state;
    assert_int_equal(hpp_image_scan(&images, &map_memory, NULL, getauxval(AT_ENTRY), &map), 0);
    atomic_store(&hpp_sampler.code, map);
    hpp_sampler.period = 1000000000 / 997;
    hpp_sampler.depth = DEPTH;
    hpp_sampler.no_tables = 1;
    assert_int_equal(hpp_sampler_init(HPP_MEMORY_DEFAULT), 0);
    return 0;
}

/* As if nobody had been here; MEMORY is for rings. */
static void begin(uint64_t memory)
{
    hpp_sampler_after_fork(atomic_load(&hpp_sampler.code));
    hpp_sampler.rings = NULL;
    hpp_sampler.slots_used = hpp_sampler.rings_used = 0;
    assert_int_equal(hpp_sampler_init(memory), 0);
}

/* A slot for the calling thread, or for one that is made up. */
static struct hpp_slot *active_slot(void)
{
    struct hpp_slot *slot = hpp_slot_claim();
    pthread_attr_t attributes;
    void *low;
    size_t size;

    assert_non_null(slot);
    assert_int_equal(pthread_getattr_np(pthread_self(), &attributes), 0);
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    slot->stack_low = (uint64_t)(uintptr_t)low;
    slot->stack_end = slot->stack_low + size;
    slot->state = HPP_SLOT_ACTIVE;
    return slot;
}

/* A signal of the slot's timer, of weight WEIGHT. */
static void signal_slot(const struct hpp_slot *slot, int weight)
{
    siginfo_t info = {.si_signo = SIGPROF, .si_code = SI_TIMER};
    ucontext_t context;

    info.si_value.sival_ptr = (void *)(uintptr_t)slot->value;
    info.si_overrun = weight - 1;
    getcontext(&context);
    hpp_handler(SIGPROF, &info, &context);
}

/* Reads what ring INDEX holds, as the writer does: returns the weight. If SLOT is not NULL, all is its. */
static uint64_t take_all(uint32_t index, const struct hpp_slot *slot)
{
    struct hpp_ring *ring = hpp_sampler.rings[index];
    uint64_t weight = 0, *record;

    while ((record = hpp_ring_peek(ring))) {
        struct hpp_slot *of = &hpp_sampler.slots[HPP_RECORD_SLOT(record[2])];
        assert_true(!slot || of == slot);
        assert_in_range(HPP_RECORD_FRAMES(record[0]), 1, DEPTH);
        weight += HPP_RECORD_WEIGHT(record[0]);
        hpp_ring_consume(ring, record);
        hpp_slot_taken(of, 1);
    }
    return weight;
}

static uint64_t take_all_rings(void)
{
    uint64_t weight = 0;

    for (uint32_t i = 0; i < hpp_sampler.rings_used; i++)
        weight += take_all(i, NULL);
    return weight;
}

/* The record tells whose it is and what the thread's label was. */
static void test_record(void **state)
{
    struct hpp_slot *other, *slot;
    _Atomic uint32_t label = 0x87654321;
    uint64_t *record;

    (void)state;
    begin(HPP_MEMORY_DEFAULT);
    other = active_slot();
    slot = active_slot();
    assert_int_not_equal(slot->home, other->home);
    slot->label_at = &label;
    signal_slot(slot, 2);
    record = hpp_ring_peek(hpp_sampler.rings[slot->home]);
    assert_non_null(record);
    assert_int_equal(HPP_RECORD_SLOT(record[2]), slot - hpp_sampler.slots);
    assert_int_equal(HPP_RECORD_LABEL(record[2]), 0x87654321);
    assert_int_equal(HPP_RECORD_WEIGHT(record[0]), 2);
    assert_int_equal(take_all(slot->home, slot), 2);
    signal_slot(other, 1);
    record = hpp_ring_peek(hpp_sampler.rings[other->home]);
    assert_int_equal(record[2], 0); /* the first slot, no label */
    assert_int_equal(take_all(other->home, other), 1);
    assert_int_equal(hpp_sampler.dropped, 0);
}

/* Each ring that another handler has is passed by; where all are had, the weight is counted as dropped. */
static void test_contention(void **state)
{
    struct hpp_slot *slot;
    uint32_t ring;

    (void)state;
    begin(HPP_MEMORY_DEFAULT);
    for (uint32_t i = 0; i + 2 < hpp_sampler.ring_count; i++)
        active_slot();
    slot = active_slot(); /* at home in the last ring but one: two of its rings are the first ones */
    assert_int_equal(slot->home, hpp_sampler.ring_count - 2);
    active_slot();
    assert_int_equal(hpp_sampler.rings_used, hpp_sampler.ring_count);
    for (unsigned had = 0; had < HPP_RINGS_TRIED; had++) {
        ring = (slot->home + had) % hpp_sampler.ring_count;
        signal_slot(slot, 1);
        assert_int_equal(take_all(ring, slot), 1);
        assert_int_equal(hpp_sampler.rings[ring]->busy, 0);
        assert_true(hpp_ring_take(hpp_sampler.rings[ring]));
        assert_false(hpp_ring_take(hpp_sampler.rings[ring]));
    }
    assert_int_equal(hpp_sampler.dropped, 0);
    signal_slot(slot, 2);
    assert_int_equal(hpp_sampler.dropped, 2);
    assert_int_equal(take_all_rings(), 0);
    assert_int_equal(slot->weight, HPP_RINGS_TRIED + 2); /* the thread's account knows of all */
    hpp_ring_release(hpp_sampler.rings[ring]);
    signal_slot(slot, 1);
    assert_int_equal(hpp_sampler.dropped, 2);
    assert_int_equal(take_all(ring, slot), 1);
    /* the first sample of a thread that was found late */
    slot->head = 5;
    signal_slot(slot, 2);
    assert_int_equal(take_all(ring, slot), 7);
    signal_slot(slot, 2);
    assert_int_equal(take_all(ring, slot), 2);
    assert_int_equal(slot->weight, HPP_RINGS_TRIED + 7);
}

/* The writer does not run: what the rings hold is there when it does, the rest is counted, and the ended
 * thread's slot is nobody else's before its last record is read. */
static void test_stopped_writer(void **state)
{
    enum { SIGNALS = 100000 };
    struct hpp_slot *slot;
    uint64_t dropped;

    (void)state;
    begin(HPP_MEMORY_DEFAULT);
    slot = active_slot();
    for (int i = 0; i < SIGNALS; i++)
        signal_slot(slot, 1);
    dropped = hpp_sampler.dropped;
    assert_in_range(dropped, 1, SIGNALS - (HPP_RING_WORDS / (HPP_RECORD_WORDS + DEPTH) - 1));
    hpp_slot_end(slot);
    assert_int_equal(slot->state, HPP_SLOT_ENDED);
    for (int i = 0; i < 100; i++)
        assert_ptr_not_equal(hpp_slot_claim(), slot);
    assert_int_equal(slot->state, HPP_SLOT_ENDED);
    assert_int_equal(take_all(slot->home, slot), SIGNALS - dropped);
    assert_int_equal(slot->state, HPP_SLOT_FREE);
    assert_int_equal(take_all_rings(), 0);
    assert_int_equal(slot->weight, SIGNALS);
    assert_int_equal(slot->put, SIGNALS - dropped);
}

/* The least that can be asked for: two rings, for as many threads as there are. */
static void test_two_rings(void **state)
{
    struct hpp_slot *slots[5];
    uint64_t weight = 0;

    (void)state;
    begin(1);
    assert_int_equal(hpp_sampler.ring_count, 2);
    for (int i = 0; i < 5; i++) {
        slots[i] = active_slot();
        assert_int_equal(slots[i]->home, i % 2);
    }
    assert_int_equal(hpp_sampler.rings_used, 2);
    for (int i = 0; i < 20000; i++)
        signal_slot(slots[i % 5], 1);
    assert_true(hpp_sampler.dropped > 0);
    weight = take_all_rings() + hpp_sampler.dropped;
    assert_int_equal(weight, 20000);
}

enum { THREADS = 12, EACH = 20000 };

static void *take_samples(void *argument)
{
    struct hpp_slot *slot = active_slot();

    for (int i = 0; i < EACH; i++)
        signal_slot(slot, 1);
    hpp_slot_end(slot);
    return argument;
}

/* Many threads, few rings, one reader: every sample is read once or counted as dropped, and all slots come
 * back. */
static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    uint64_t weight = 0;

    (void)state;
    begin(1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_samples, NULL), 0);
    while (weight + hpp_sampler.dropped < THREADS * EACH)
        weight += take_all_rings();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(weight + take_all_rings() + hpp_sampler.dropped, THREADS * EACH);
    assert_true(weight > 0);
    for (uint32_t i = 0; i < hpp_sampler.slots_used; i++) {
        hpp_slot_taken(&hpp_sampler.slots[i], 0);
        assert_int_equal(hpp_sampler.slots[i].state, HPP_SLOT_FREE);
    }
    for (uint32_t i = 0; i < hpp_sampler.ring_count; i++)
        assert_int_equal(hpp_sampler.rings[i]->busy, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),         cmocka_unit_test(test_contention),
        cmocka_unit_test(test_stopped_writer), cmocka_unit_test(test_two_rings),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
