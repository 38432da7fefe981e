/* From ring records to distinct stacks, locations and strings. */
#include "profiler/aggregate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "profiler/ring.h"
#include "profiler/walk.h"

enum { CODE = 0x10000 };

static const struct hpp_image image = {.kind = HPP_IMAGE_FILE, .path = "/app"};
static const struct hpp_segment segments[2] = {
    {.image = &image, .start = CODE, .end = CODE + 0x1000, .file_end = CODE + 0x1000, .serial = 0},
    {.image = &image, .start = CODE * 2, .end = CODE * 3, .file_end = CODE * 3, .serial = 1}};
static struct hpp_code_map *map;
static struct hpp_aggregate aggregate;

static int setup(void **state)
{
    (void)state;
    map = malloc(sizeof *map + 2 * sizeof map->ranges[0]);
    map->count = map->serials = 2;
    for (int i = 0; i < 2; i++)
        map->ranges[i] = (struct hpp_code_range){segments[i].start, segments[i].end, &segments[i]};
    hpp_aggregate_init(&aggregate);
    return hpp_aggregate_segments(&aggregate, map);
}

static int teardown(void **state)
{
    (void)state;
    hpp_arena_release(&aggregate.arena);
    hpp_arena_release(&aggregate.stack_arena);
    hpp_arena_release(&aggregate.before_arena);
    free(map);
    return 0;
}

static void add(int tid, uint32_t name, enum hpp_walk_end end, uint32_t weight, unsigned count,
                const uint64_t *frames)
{
    uint64_t *record = malloc((HPP_RECORD_WORDS + count) * sizeof *record);

    record[0] = HPP_RECORD(count, end, weight);
    record[1] = 0;
    memcpy(record + HPP_RECORD_WORDS, frames, count * sizeof *frames);
    hpp_aggregate_add(&aggregate, map, record, tid, name);
    free(record);
}

static uint64_t weights(void)
{
    uint64_t sum = 0;

    for (const struct hpp_stack *stack = aggregate.first; stack; stack = stack->next)
        sum += stack->weight;
    return sum;
}

static void test_same_and_distinct(void **state)
{
    static const uint64_t frames[] = {CODE + 8, CODE + 0x20, CODE * 2 + 5},
                          others[] = {CODE + 8, CODE + 0x20};
    const struct hpp_stack *stack;

    (void)state;
    add(1, 0, HPP_WALK_ROOT, 1, 3, frames);
    add(1, 0, HPP_WALK_ROOT, 50, 3, frames);
    assert_int_equal(aggregate.stack_count, 1);
    stack = aggregate.first;
    assert_int_equal(stack->weight, 51);
    assert_int_equal(stack->tid, 1);
    assert_int_equal(stack->count, 3);
    add(2, 0, HPP_WALK_ROOT, 1, 3, frames);      /* another thread */
    add(1, 1, HPP_WALK_ROOT, 1, 3, frames);      /* the same by another name */
    add(1, 0, HPP_WALK_ROOT, 1, 2, others);      /* shorter */
    add(1, 0, HPP_WALK_OFF_STACK, 1, 3, frames); /* unfinished */
    add(1, 0, HPP_WALK_UNALIGNED, 1, 3, frames); /* unfinished too, and no more is known */
    add(1, 0, HPP_WALK_TRUNCATED, 1, 3, frames);
    add(-1, 0, HPP_WALK_ROOT, 1, 1, frames);
    assert_int_equal(aggregate.stack_count, 7);
    assert_int_equal(weights(), 58);
    assert_int_equal(aggregate.samples, 58);
    assert_int_equal(aggregate.lost_weight, 0);
}

/* Leaf as it was, return addresses less one; each with its mapping; then what the walk's end says. */
static void test_locations(void **state)
{
    /* the second returns behind its segment, the third is in none */
    static const uint64_t frames[] = {CODE, CODE + 0x1000, CODE + 0x1001, CODE * 2 + 1};
    static const struct hpp_location expected[] = {
        {CODE, 1}, {CODE + 0xfff, 1}, {CODE + 0x1000, 0}, {CODE * 2, 2}};
    static const enum hpp_walk_end ends[] = {HPP_WALK_ROOT, HPP_WALK_TRUNCATED, HPP_WALK_NOT_CODE};
    static const uint32_t tails[] = {0, HPP_LOCATION_TRUNCATED, HPP_LOCATION_UNFINISHED};

    (void)state;
    for (int i = 0; i < 3; i++)
        add(1, 0, ends[i], 1, 4, frames);
    int i = 0;
    for (const struct hpp_stack *stack = aggregate.first; stack; stack = stack->next, i++) {
        assert_int_equal(stack->count, tails[i] ? 5 : 4);
        for (int j = 0; j < 4; j++) {
            const struct hpp_location *location = &aggregate.locations[stack->locations[j] - 1];
            assert_true(stack->locations[j] > HPP_LOCATIONS_SPECIAL);
            assert_int_equal(location->address, expected[j].address);
            assert_int_equal(location->mapping, expected[j].mapping);
        }
        if (tails[i])
            assert_int_equal(stack->locations[4], tails[i]);
    }
    assert_int_equal(i, 3);
    assert_int_equal(aggregate.location_count, HPP_LOCATIONS_SPECIAL + 4);
}

/* Addresses 0 and 1 are not the two names that stand for none. */
static void test_null_addresses(void **state)
{
    static const uint64_t frames[] = {0, 1}, others[] = {1};

    (void)state;
    add(1, 0, HPP_WALK_ROOT, 1, 2, frames);
    add(1, 0, HPP_WALK_ROOT, 1, 1, others);
    assert_true(aggregate.first->locations[0] > HPP_LOCATIONS_SPECIAL);
    assert_int_equal(aggregate.first->locations[0], aggregate.first->locations[1]);
    assert_int_equal(aggregate.location_count, HPP_LOCATIONS_SPECIAL + 2);
}

static void test_deepest(void **state)
{
    uint64_t frames[HPP_DEPTH_MAX];

    (void)state;
    for (unsigned i = 0; i < HPP_DEPTH_MAX; i++)
        frames[i] = CODE * 2 + i * 3;
    add(1, 0, HPP_WALK_TRUNCATED, 7, HPP_DEPTH_MAX, frames);
    assert_int_equal(aggregate.first->count, HPP_DEPTH_MAX + 1);
    assert_int_equal(aggregate.first->locations[HPP_DEPTH_MAX], HPP_LOCATION_TRUNCATED);
    assert_int_equal(weights(), 7);
}

static void test_strings(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xe2\x82\xac \xf0\x9f\x94\xa5", "\xe2\x82\xac \xf0\x9f\x94\xa5"},
        {"a\xff"
         "b",
         "a?b"},
        {"a\xfe"
         "b",
         "a?b"},
        {"\x80\xbf", "??"},
        {"\xc3", "?"}, /* cut short */
        {"\xc3(", "?("},
        {"\xe2\x82", "??"},
        {"\xf0\x9f\x94", "???"},
        {"\xc0\xaf", "??"}, /* overlong */
        {"\xe0\x80\xaf", "???"},
        {"\xf0\x80\x80\xaf", "????"},
        {"\xed\xa0\x80", "???"},          /* surrogate */
        {"\xed\x9f\xbf", "\xed\x9f\xbf"}, /* the last before */
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", "????"},
        {"\x7f", "\x7f"},
    };

    (void)state;
    assert_int_equal(hpp_aggregate_string(&aggregate, ""), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t index = hpp_aggregate_string(&aggregate, cases[i].in), count = aggregate.string_count;
        assert_in_range(index, 1, count - 1);
        assert_string_equal(aggregate.strings[index], cases[i].out);
        /* the same again, and what it was made into, are no new strings */
        assert_int_equal(hpp_aggregate_string(&aggregate, cases[i].in), index);
        assert_int_equal(hpp_aggregate_string(&aggregate, cases[i].out), index);
        assert_int_equal(aggregate.string_count, count);
    }
}

static void test_many_strings(void **state)
{
    char text[32];

    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "string %u", i);
        assert_int_equal(hpp_aggregate_string(&aggregate, text), i + 1);
    }
    for (uint32_t i = 0; i < 3000; i += 7) {
        snprintf(text, sizeof text, "string %u", i);
        assert_int_equal(hpp_aggregate_string(&aggregate, text), i + 1);
        assert_string_equal(aggregate.strings[i + 1], text);
    }
}

/* Tens of thousands: ids sequential, found again, and stacks of them too. */
static void test_growth(void **state)
{
    enum { COUNT = 40000 };

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < COUNT; i++) {
            uint64_t frames[2] = {i << 12, (i * 7 << 12) + 5};
            add(1, 0, HPP_WALK_ROOT, 1, i % 8 ? 1 : 2, frames);
        }
        assert_int_equal(aggregate.stack_count, COUNT);
        if (!round)
            continue;
        for (const struct hpp_stack *stack = aggregate.first; stack; stack = stack->next)
            assert_int_equal(stack->weight, 2);
    }
    assert_int_equal(aggregate.lost_weight, 0);
    assert_int_equal(aggregate.location_count, HPP_LOCATIONS_SPECIAL + COUNT + COUNT / 8);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(aggregate.locations[HPP_LOCATIONS_SPECIAL + i + (i + 7) / 8].address,
                         (uint64_t)i << 12);
}

/* Cleared: no stacks, all else stays. */
static void test_clear(void **state)
{
    static const uint64_t frames[] = {CODE + 8, CODE + 0x20};
    uint32_t id;

    (void)state;
    for (int tid = 0; tid < 10000; tid++)
        add(tid, 0, HPP_WALK_ROOT, 2, 2, frames);
    id = aggregate.first->locations[0];
    for (int round = 0; round < 3; round++) {
        hpp_aggregate_clear(&aggregate);
        assert_null(aggregate.first);
        assert_int_equal(aggregate.stack_count, 0);
        assert_int_equal(weights(), 0);
        add(1, 0, HPP_WALK_ROOT, 3, 2, frames);
        add(1, 0, HPP_WALK_ROOT, 3, 2, frames);
        assert_int_equal(aggregate.stack_count, 1);
        assert_int_equal(weights(), 6);
        assert_int_equal(aggregate.first->locations[0], id);
    }
    assert_int_equal(aggregate.samples, 20000 + 18);
}

/* Memory for no more stacks: what is known still counts, all else is lost and said to be. */
static void test_stack_limit(void **state)
{
    uint64_t put = 0, lost;
    static const uint64_t frames[] = {CODE + 8};

    (void)state;
    aggregate.stack_arena.limit = 1 << 20;
    for (int tid = 0; tid < 40000; tid++, put += 3)
        add(tid, 0, HPP_WALK_ROOT, 3, 1, frames);
    assert_true(aggregate.lost_weight > 0);
    assert_int_equal(weights() + aggregate.lost_weight, put);
    assert_int_equal(aggregate.samples, weights());
    assert_in_range(aggregate.stack_arena.mapped, 1, 1 << 20);
    lost = aggregate.lost_weight;
    add(0, 0, HPP_WALK_ROOT, 3, 1, frames);
    assert_int_equal(aggregate.lost_weight, lost);
    hpp_aggregate_clear(&aggregate);
    add(39999, 0, HPP_WALK_ROOT, 3, 1, frames);
    assert_int_equal(aggregate.lost_weight, lost);
    assert_int_equal(weights(), 3);
}

/* Memory for no more locations, at any size of the tables: stacks of known ones still count. */
static void test_location_limit(void **state)
{
    (void)state;
    for (size_t limit = 256 << 10; limit <= 4 << 20; limit += 256 << 10) {
        uint64_t put = 0, lost, first = 1 << 12;
        teardown(NULL);
        assert_int_equal(setup(NULL), 0);
        aggregate.arena.limit = limit;
        for (uint64_t i = 1; i <= 100000; i++, put++) {
            uint64_t frame = i << 12;
            add(1, 0, HPP_WALK_ROOT, 1, 1, &frame);
            if (aggregate.stack_count == 4000)
                hpp_aggregate_clear(&aggregate);
        }
        assert_int_equal(aggregate.samples + aggregate.lost_weight, put);
        assert_int_equal(aggregate.location_count - HPP_LOCATIONS_SPECIAL, aggregate.samples);
        assert_true(aggregate.arena.mapped <= limit);
        assert_true(aggregate.lost_weight > 0);
        lost = aggregate.lost_weight;
        add(1, 0, HPP_WALK_ROOT, 1, 1, &first);
        assert_int_equal(aggregate.lost_weight, lost);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_same_and_distinct),
        TEST(test_locations),
        TEST(test_null_addresses),
        TEST(test_deepest),
        TEST(test_strings),
        TEST(test_many_strings),
        TEST(test_growth),
        TEST(test_clear),
        TEST(test_stack_limit),
        TEST(test_location_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
