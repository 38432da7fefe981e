/* What of a segment may move (plan.c), and the table of 2 MiB in which samples are counted (hot_slots.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "preload/remap/hot_state.h"
#include "preload/remap/remap.h"

enum { MIB = 1 << 20 };

static const struct hpp_image image = {.kind = HPP_IMAGE_FILE, .path = "/usr/bin/app"};
static const struct hpp_remap_options all = {.max = UINT64_MAX, .match = "*"};
static uint64_t start, end;

static const char *refused(uint64_t from, uint64_t to, const struct hpp_remap_options *options)
{
    struct hpp_segment segment = {.image = &image, .start = from, .end = to, .file_end = to};

    return hpp_remap_refused(&segment, NULL, options, &start, &end);
}

static void test_inward(void **state)
{
    static const struct {
        uint64_t from, to, start, end; /* KiB */
    } cases[] = {
        {4096, 8192, 4096, 8192},  {4100, 8192, 6144, 8192}, {4096, 8188, 4096, 6144},
        {4100, 10236, 6144, 8192}, {4092, 8196, 4096, 8192},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_null(refused(cases[i].from << 10, cases[i].to << 10, &all));
        assert_int_equal(start, cases[i].start << 10);
        assert_int_equal(end, cases[i].end << 10);
    }
    /* none that is whole: the range is empty, and never turned round */
    for (uint64_t from = 4 * MIB; from < 6 * MIB; from += 4096) {
        assert_non_null(refused(from, from + 2 * MIB - 4096, &all));
        assert_int_equal(start, end);
    }
}

/* What comes from the file ends before the segment does. */
static void test_file_end(void **state)
{
    struct hpp_segment segment = {
        .image = &image, .start = 2 * MIB, .end = 10 * MIB, .file_end = 8 * MIB - 1};

    (void)state;
    assert_null(hpp_remap_refused(&segment, NULL, &all, &start, &end));
    assert_int_equal(end, 6 * MIB);
}

static void test_refused(void **state)
{
    struct hpp_segment segment = {.image = &image, .start = 2 * MIB, .end = 8 * MIB, .file_end = 8 * MIB};
    struct hpp_remap_options options = all;

    (void)state;
    assert_null(hpp_remap_refused(&segment, NULL, &options, &start, &end));
    assert_non_null(hpp_remap_refused(&segment, &segment, &options, &start, &end)); /* our own */
    options.match = "*/other";
    assert_non_null(hpp_remap_refused(&segment, NULL, &options, &start, &end));
    options.match = "*/app";
    options.min = 6 * MIB;
    assert_null(hpp_remap_refused(&segment, NULL, &options, &start, &end));
    options.min++;
    assert_non_null(hpp_remap_refused(&segment, NULL, &options, &start, &end));
    options.min = 0;
    options.refused = "for a reason";
    assert_string_equal(hpp_remap_refused(&segment, NULL, &options, &start, &end), "for a reason");
    options.refused = NULL;
    segment.altered = 1;
    assert_non_null(hpp_remap_refused(&segment, NULL, &options, &start, &end));
}

/* ---- slots --------------------------------------------------------------------------------------------- */

/* Two segments of a GiB each, where nothing is mapped. */
static const struct hpp_segment first = {
    .image = &image, .start = 1024ull * MIB, .end = 2048ull * MIB, .file_end = 2048ull * MIB};
static const struct hpp_segment second = {
    .image = &image, .start = 4096ull * MIB, .end = 8192ull * MIB, .file_end = 8192ull * MIB, .serial = 1};
static struct hpp_hot_slots table;

static struct hpp_code_map *map_of(int with_first)
{
    struct hpp_code_map *map = calloc(1, sizeof *map + 2 * sizeof map->ranges[0]);

    assert_non_null(map);
    if (with_first)
        map->ranges[map->count++] = (struct hpp_code_range){first.start, first.end, &first};
    map->ranges[map->count++] = (struct hpp_code_range){second.start, second.end, &second};
    return map;
}

static void test_slots(void **state)
{
    struct hpp_code_map *map = map_of(1), *without = map_of(0);
    unsigned used = 0;

    (void)state;
    hpp_hot.options = &all;
    table = (struct hpp_hot_slots){0};
    for (uint64_t at = first.start; at < first.end; at += 2 * MIB) {
        struct hpp_hot_slot *slot = hpp_hot_slot(&table, map, &first, at + 17);
        assert_non_null(slot);
        assert_int_equal(slot->start, at);
        assert_int_equal(slot->weight, 0);
        slot->weight = at;
        used++;
    }
    assert_int_equal(table.used, used);
    for (uint64_t at = first.start; at < first.end; at += 2 * MIB)
        assert_int_equal(hpp_hot_slot(&table, map, &first, at + 2 * MIB - 1)->weight, at);
    assert_int_equal(table.used, used);
    /* it becomes full, and then gives none, but those that it has */
    for (uint64_t at = second.start; at < second.end; at += 2 * MIB) {
        struct hpp_hot_slot *slot = hpp_hot_slot(&table, map, &second, at);
        if (slot)
            slot->weight = at;
        used += slot != NULL;
    }
    assert_true(used < HPP_HOT_SLOTS);
    assert_null(hpp_hot_slot(&table, map, &second, second.end - 1));
    assert_int_equal(hpp_hot_slot(&table, map, &first, first.start)->weight, first.start);
    /* what was unloaded makes room, the rest keeps what it counted */
    assert_non_null(hpp_hot_slot(&table, without, &second, second.end - 1));
    assert_int_equal(table.used, used - (first.end - first.start) / (2 * MIB) + 1);
    assert_int_equal(hpp_hot_slot(&table, without, &second, second.start)->weight, second.start);
    assert_null(hpp_hot_place(&table, &first, first.start)->segment);
    free(map);
    free(without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inward),
        cmocka_unit_test(test_file_end),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
