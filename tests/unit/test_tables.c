/* Unwind tables for the handlers: wanted by samples, built, kept, found again. */
#include "profiler/tables.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/unwind_build.h"
#include "profiler/sampler.h"
#include "profiler/writer.h"
#include "tests/unit/cache_fixture.h"

static const struct hpp_code_map *map;

/* A process that has just started, with nothing in the cache but what is there. */
static void start(void)
{
    hpp_writer = (struct hpp_writer){0};
    hpp_aggregate_init(&hpp_writer.aggregate);
    assert_int_equal(
        hpp_image_scan(&hpp_writer.image_arena, &hpp_writer.map_arena[0], NULL, getauxval(AT_ENTRY), &map),
        0);
    atomic_store(&hpp_sampler.code, map);
    hpp_sampler.period = 1000000;
    hpp_sampler.no_tables = 0;
    hpp_tables_init(cache_folder, NO_LIMIT);
}

static struct hpp_segment *segment_of(const void *code)
{
    const struct hpp_code_range *range = hpp_image_find(map, (uint64_t)(uintptr_t)code);

    assert_non_null(range);
    return (struct hpp_segment *)range->segment;
}

/* A sample of that WEIGHT in CODE, called by itself, for which a table was missing. */
static void lack(const void *code, uint32_t weight)
{
    const uint64_t address = (uint64_t)(uintptr_t)code;
    const uint64_t record[] = {HPP_RECORD(2, HPP_WALK_OFF_STACK, weight) | HPP_RECORD_UNTOLD, 0, 0, address,
                               address + 1};

    hpp_tables_note(map, record);
}

static int has_rule(const struct hpp_segment *segment, const void *code)
{
    return hpp_unwind_find(segment->table, (uint64_t)(uintptr_t)code - segment->start + segment->link)->cfa !=
           HPP_CFA_NONE;
}

/* Built when samples stand for as much time as that takes, most wanted first, and kept for the next
 * process. */
static void test_build(void **state)
{
    struct hpp_segment *own, *libc;

    (void)state;
    start();
    own = segment_of((void *)&test_build);
    libc = segment_of((void *)&qsort);
    hpp_tables_load(map);
    assert_null(own->table);
    assert_false(hpp_tables_build(map, NULL));
    lack((void *)&test_build, 1000);
    lack((void *)&qsort, 2000);
    assert_int_equal(hpp_writer.untold, 3000);
    assert_int_equal(own->wanted, 1000); /* once a sample */
    assert_true(hpp_tables_build(map, NULL));
    assert_null(own->table);
    assert_true(has_rule(libc, (void *)&qsort));
    assert_true(hpp_tables_build(map, NULL));
    assert_true(has_rule(own, (void *)&test_build));
    assert_false(hpp_tables_build(map, NULL));
    assert_int_equal(cache_files(), 2);

    start();
    hpp_tables_load(map);
    assert_true(has_rule(segment_of((void *)&qsort), (void *)&qsort));
    assert_true(has_rule(segment_of((void *)&test_build), (void *)&test_build));
}

/* The weight of a nanosecond each that pays for the table of libc: about what building it takes. */
static uint32_t price_of_libc(void)
{
    const struct hpp_segment *segment = segment_of((void *)&qsort);

    hpp_sampler.period = 1;
    return (uint32_t)(segment->end - segment->start) * 3;
}

/* A tenth of it is enough for a table that later processes will have. */
static void test_late(void **state)
{
    uint32_t price;

    (void)state;
    start();
    price = price_of_libc();
    lack((void *)&qsort, price / 20);
    assert_false(hpp_tables_build(map, NULL));
    hpp_tables_build_late();
    assert_int_equal(cache_files(), 0);
    lack((void *)&qsort, price / 10);
    assert_false(hpp_tables_build(map, NULL));
    hpp_tables_build_late();
    assert_int_equal(cache_files(), 1);
}

/* Where no run leaves anything to the next, 20 times as much must lack it. */
static void test_not_kept(void **state)
{
    const char *const folders[] = {"", "/dev/null/unwind", "/proc/unwind", NULL};

    (void)state;
    for (int i = 0; folders[i]; i++) {
        uint32_t price;
        start();
        price = price_of_libc();
        hpp_tables_init(folders[i], NO_LIMIT);
        lack((void *)&qsort, price * 10);
        assert_false(hpp_tables_build(map, NULL));
        hpp_tables_build_late();
        assert_null(segment_of((void *)&qsort)->table);
        lack((void *)&qsort, price * 11);
        assert_true(hpp_tables_build(map, NULL));
        assert_true(has_rule(segment_of((void *)&qsort), (void *)&qsort));
    }
}

/* One that another process has made since is taken, not made again. */
static void test_made_meanwhile(void **state)
{
    struct hpp_segment *segment;

    (void)state;
    start();
    lack((void *)&qsort, 100000);
    assert_true(hpp_tables_build(map, NULL));
    start();
    segment = segment_of((void *)&qsort);
    ((struct hpp_image *)segment->image)->path = "/nowhere"; /* from which none could be made */
    ((struct hpp_image *)segment->image)->header = 0;
    lack((void *)&qsort, 100000);
    assert_true(hpp_tables_build(map, NULL));
    assert_true(has_rule(segment, (void *)&qsort));
}

static void test_frame_pointers_only(void **state)
{
    (void)state;
    start();
    hpp_sampler.no_tables = 1;
    lack((void *)&qsort, 100000);
    assert_false(hpp_tables_build(map, NULL));
    hpp_tables_load(map);
    assert_null(segment_of((void *)&qsort)->table);
}

static int give_up(void *unused)
{
    (void)unused;
    return 1;
}

/* A build that was given up is begun anew another time, if need be when the program has ended. */
static void test_give_up(void **state)
{
    (void)state;
    for (int is_late = 0; is_late < 2; is_late++) {
        start();
        hpp_tables_init(is_late ? cache_folder : "", NO_LIMIT);
        lack((void *)&qsort, 100000);
        assert_false(hpp_tables_build(map, give_up));
        assert_null(segment_of((void *)&qsort)->table);
        assert_int_equal(cache_files(), 0);
        if (is_late)
            hpp_tables_build_late();
        else
            assert_true(hpp_tables_build(map, NULL));
        assert_true(has_rule(segment_of((void *)&qsort), (void *)&qsort));
    }
    assert_int_equal(cache_files(), 1);
}

/* From memory: the vdso has no file. */
static void test_vdso(void **state)
{
    const char *vdso = (const char *)getauxval(AT_SYSINFO_EHDR);
    struct hpp_segment *segment;
    unsigned rules = 0;

    (void)state;
    if (!vdso)
        skip();
    start();
    segment = segment_of(vdso);
    lack(vdso, 100000);
    assert_true(hpp_tables_build(map, NULL));
    for (uint64_t at = segment->start; at < segment->end; at++)
        rules += has_rule(segment, (void *)(uintptr_t)at);
    assert_true(rules > 100);
}

/* Code that no table can be made for is not tried twice, and the profile is told why. */
static void test_none(void **state)
{
    struct hpp_segment *segment;

    (void)state;
    start();
    segment = segment_of((void *)&qsort);
    ((struct hpp_image *)segment->image)->path = "/nowhere";
    ((struct hpp_image *)segment->image)->header = 0;
    lack((void *)&qsort, 100000);
    assert_true(hpp_tables_build(map, NULL));
    assert_non_null(segment->no_table);
    assert_false(has_rule(segment, (void *)&qsort));
    assert_false(hpp_tables_build(map, NULL));
    hpp_tables_comment(map);
    assert_null(segment->no_table);
    hpp_tables_build_late();
    assert_int_equal(cache_files(), 0);
}

/* No folder: tables are built all the same, and kept nowhere. */
static void test_no_cache(void **state)
{
    (void)state;
    start();
    hpp_tables_init("", 0);
    lack((void *)&qsort, 100000);
    assert_true(hpp_tables_build(map, NULL));
    assert_true(has_rule(segment_of((void *)&qsort), (void *)&qsort));
    assert_int_equal(cache_files(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_build, cache_set_up, cache_tear_down),
        cmocka_unit_test_setup_teardown(test_late, cache_set_up, cache_tear_down),
        cmocka_unit_test_setup_teardown(test_not_kept, cache_set_up, cache_tear_down),
        cmocka_unit_test_setup_teardown(test_made_meanwhile, cache_set_up, cache_tear_down),
        cmocka_unit_test_setup_teardown(test_frame_pointers_only, cache_set_up, cache_tear_down),
        cmocka_unit_test_setup_teardown(test_give_up, cache_set_up, cache_tear_down),
        cmocka_unit_test_setup_teardown(test_vdso, cache_set_up, cache_tear_down),
        cmocka_unit_test_setup_teardown(test_none, cache_set_up, cache_tear_down),
        cmocka_unit_test_setup_teardown(test_no_cache, cache_set_up, cache_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
