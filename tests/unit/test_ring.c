/* The ring between a thread's handler and the writer. */
#include "profiler/ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { LARGEST = HPP_RECORD_WORDS + HPP_DEPTH_MAX };

static struct hpp_ring *make_ring(void)
{
    struct hpp_ring *ring = aligned_alloc(_Alignof(struct hpp_ring), sizeof *ring);

    assert_non_null(ring);
    return memset(ring, 0, sizeof *ring);
}

/* A record of FRAMES frames, all of whose words follow from NUMBER. */
static int put(struct hpp_ring *ring, uint64_t number, unsigned frames)
{
    uint64_t *record = hpp_ring_reserve(ring, HPP_DEPTH_MAX);

    if (!record)
        return 0;
    assert_in_range(record - ring->words, 0,
                    HPP_RING_WORDS - LARGEST); /* room for the largest, in one piece */
    record[1] = number;
    for (unsigned i = 0; i < frames; i++)
        record[HPP_RECORD_WORDS + i] = number * 1000003 + i;
    record[0] = HPP_RECORD(frames, number % 9, number);
    hpp_ring_commit(ring, HPP_RECORD_WORDS + frames);
    return 1;
}

/* Whether RECORD is what put made of NUMBER. */
static int is_record(const uint64_t *record, uint64_t number)
{
    if (record[1] != number || HPP_RECORD_END(record[0]) != number % 9 ||
        HPP_RECORD_WEIGHT(record[0]) != (uint32_t)number || HPP_RECORD_FRAMES(record[0]) > HPP_DEPTH_MAX)
        return 0;
    for (unsigned i = 0; i < HPP_RECORD_FRAMES(record[0]); i++)
        if (record[HPP_RECORD_WORDS + i] != number * 1000003 + i)
            return 0;
    return 1;
}

static void take(struct hpp_ring *ring, uint64_t number, unsigned frames)
{
    const uint64_t *record = hpp_ring_peek(ring);

    assert_non_null(record);
    assert_true(is_record(record, number));
    assert_int_equal(HPP_RECORD_FRAMES(record[0]), frames);
    assert_ptr_equal(hpp_ring_peek(ring), record); /* it stays until it is consumed */
    hpp_ring_consume(ring, record);
}

static void test_word(void **state)
{
    uint64_t word = HPP_RECORD(HPP_DEPTH_MAX, 8, UINT32_MAX);

    (void)state;
    assert_int_equal(HPP_RECORD_FRAMES(word), HPP_DEPTH_MAX);
    assert_int_equal(HPP_RECORD_END(word), 8);
    assert_int_equal(HPP_RECORD_WEIGHT(word), UINT32_MAX);
    assert_true(HPP_DEPTH_MAX < HPP_RECORD_PAD);
}

static void test_empty(void **state)
{
    struct hpp_ring *ring = make_ring();

    (void)state;
    assert_null(hpp_ring_peek(ring));
    hpp_ring_reserve(ring, HPP_DEPTH_MAX); /* what was reserved but not committed is not there */
    assert_null(hpp_ring_peek(ring));
    assert_true(put(ring, 5, 3));
    take(ring, 5, 3);
    assert_null(hpp_ring_peek(ring));
    free(ring);
}

/* Full, refused, and after one record is read there is room for one: at every offset of the ring-> */
static void test_full(void **state)
{
    struct hpp_ring *ring = make_ring();

    (void)state;
    for (unsigned frames = 1; frames <= HPP_DEPTH_MAX; frames += 5) {
        uint64_t count = 0;
        while (put(ring, count, frames))
            count++;
        assert_in_range(count, (HPP_RING_WORDS - 2 * LARGEST) / (HPP_RECORD_WORDS + frames),
                        HPP_RING_WORDS / (HPP_RECORD_WORDS + frames));
        assert_null(hpp_ring_reserve(ring, HPP_DEPTH_MAX));
        assert_in_range(hpp_ring_used(ring), 1, HPP_RING_WORDS);
        for (uint64_t i = 0; i < count; i++)
            take(ring, i, frames);
        assert_null(hpp_ring_peek(ring));
        assert_int_equal(hpp_ring_used(ring), 0);
    }
    free(ring);
}

/* Records of all sizes, written and read unevenly, come out whole and in order. */
static void test_order(void **state)
{
    struct hpp_ring *ring = make_ring();
    unsigned char *frames = malloc(400000);
    uint64_t written = 0, taken = 0, refused = 0;

    (void)state;
    srandom(5);
    while (written < 400000) {
        for (long burst = random() % 200; burst && written < 400000; burst--) {
            frames[written] = (unsigned char)(random() % 3 ? 1 + random() % 30 : 255);
            if (put(ring, written, frames[written]))
                written++;
            else
                refused++;
        }
        for (long burst = random() % 200; burst && taken < written; burst--, taken++)
            take(ring, taken, frames[taken]);
    }
    for (; taken < written; taken++)
        take(ring, taken, frames[taken]);
    assert_null(hpp_ring_peek(ring));
    assert_true(refused > 0);
    assert_true(ring->head > 20 * HPP_RING_WORDS);
    free(frames);
    free(ring);
}

/* A ring that is read in time uses its first words again and again, whatever the reader has seen when. */
static void test_begins_anew(void **state)
{
    struct hpp_ring *ring = make_ring();

    (void)state;
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t count = 1 + i % 5;
        for (uint64_t k = 0; k < count; k++) {
            uint64_t *record = hpp_ring_reserve(ring, HPP_DEPTH_MAX);
            assert_int_equal(record - ring->words, k * (HPP_RECORD_WORDS + 20));
            assert_true(put(ring, i + k, 20));
            assert_int_equal(hpp_ring_used(ring), (k + 1) * (HPP_RECORD_WORDS + 20));
        }
        for (uint64_t k = 0; k < count; k++)
            take(ring, i + k, 20);
        if (i % 3) /* the reader may look in between, or not */
            assert_null(hpp_ring_peek(ring));
        assert_int_equal(hpp_ring_used(ring), 0);
    }
    /* begun anew, and all of its room is there */
    assert_non_null(hpp_ring_reserve(ring, 1));
    assert_int_equal(hpp_ring_used(ring), 0);
    for (uint64_t i = 0; i < HPP_RING_WORDS / (HPP_RECORD_WORDS + 20); i++) {
        assert_non_null(hpp_ring_reserve(ring, 20));
        hpp_ring_commit(ring, HPP_RECORD_WORDS + 20);
    }
    assert_null(hpp_ring_reserve(ring, 20));
    free(ring);
}

/* Counters go on through a wrap of their own 64 bits. */
static void test_far_counters(void **state)
{
    struct hpp_ring *ring = make_ring();

    (void)state;
    ring->head = ring->floor = ring->tail = 0 - (uint64_t)HPP_RING_WORDS;
    for (uint64_t i = 0; i < 1000; i++) {
        assert_true(put(ring, i, 100));
        take(ring, i, 100);
    }
    assert_true(ring->head < 1u << 30);
    free(ring);
}

enum { MESSAGES = 300000 };

struct exchange {
    struct hpp_ring *ring;
    uint64_t dropped;
    atomic_int done;
};

static void *produce(void *argument)
{
    struct exchange *exchange = argument;
    unsigned seed = 7;

    for (uint64_t number = 1; number <= MESSAGES; number++) {
        unsigned frames = 1 + (unsigned)rand_r(&seed) % (number % 100 ? 20 : HPP_DEPTH_MAX);
        uint64_t *record = hpp_ring_reserve(exchange->ring, HPP_DEPTH_MAX);
        if (!record) {
            exchange->dropped++;
            continue;
        }
        record[1] = number;
        for (unsigned i = 0; i < frames; i++)
            record[HPP_RECORD_WORDS + i] = number * 1000003 + i;
        record[0] = HPP_RECORD(frames, number % 9, number);
        hpp_ring_commit(exchange->ring, HPP_RECORD_WORDS + frames);
    }
    atomic_store(&exchange->done, 1);
    return NULL;
}

/* One thread writes, one reads: what is read is whole, rises, and with what was dropped it is everything. */
static void test_two_threads(void **state)
{
    struct exchange exchange = {.ring = make_ring()};
    uint64_t last = 0, taken = 0;
    pthread_t producer;

    (void)state;
    assert_int_equal(pthread_create(&producer, NULL, produce, &exchange), 0);
    for (;;) {
        int done = atomic_load(&exchange.done);
        const uint64_t *record = hpp_ring_peek(exchange.ring);
        if (!record && done)
            break;
        if (!record)
            continue;
        assert_true(record[1] > last);
        assert_true(is_record(record, record[1]));
        last = record[1];
        taken++;
        hpp_ring_consume(exchange.ring, record);
    }
    pthread_join(producer, NULL);
    assert_int_equal(taken + exchange.dropped, MESSAGES);
    assert_true(taken > 0);
    free(exchange.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_word),        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_full),        cmocka_unit_test(test_order),
        cmocka_unit_test(test_begins_anew), cmocka_unit_test(test_far_counters),
        cmocka_unit_test(test_two_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
