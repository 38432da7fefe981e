/* The cache's bounds: what goes first, what is not ours, many writers at once, and no room. */
#include "common/table_cache.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "cache_fixture.h"

#define PAGES 20

static uint64_t table_size(void)
{
    struct hpp_unwind_table *table = cache_table(0, PAGES);
    uint64_t size = table->size;

    free(table);
    return size;
}

static int is_there(uint8_t number)
{
    return !access(cache_path(number), F_OK);
}

static void test_limit(void **state)
{
    uint64_t size = table_size();

    (void)state;
    assert_int_equal(cache_store(1, PAGES, 0), -E2BIG);
    assert_int_equal(cache_store(1, PAGES, size - 1), -E2BIG);
    assert_int_equal(access(cache_folder, F_OK), -1); /* nothing was made for nothing */
    assert_int_equal(cache_store(1, PAGES, size), 0);
    assert_int_equal(cache_store(1, PAGES, size), 0); /* takes its own place */
    assert_int_equal(cache_files(), 1);
    assert_int_equal(cache_store(2, PAGES, size), 0);
    assert_int_equal(cache_files(), 1);
    assert_true(is_there(2));
}

/* The least recently used goes first; a load counts as use, a look does not. */
static void test_order(void **state)
{
    uint64_t size = table_size();
    const struct hpp_unwind_table *table;
    const char *reason;
    uint8_t build_id[20];

    (void)state;
    for (uint8_t i = 1; i <= 5; i++) {
        assert_int_equal(cache_store(i, PAGES, NO_LIMIT), 0);
        cache_set_age(cache_path(i), (10 - i) * 86400 + 3600);
    }
    cache_loads(2);
    memset(build_id, 1, sizeof build_id);
    assert_int_equal(hpp_table_cache_peek(cache_folder, build_id, 20, &table, &reason), 0);
    assert_int_equal(cache_store(6, PAGES, 5 * size), 0);
    assert_false(is_there(1));
    assert_int_equal(cache_store(7, PAGES, 4 * size + size / 2), 0);
    assert_false(is_there(3) || is_there(4));
    assert_true(is_there(2) && is_there(5) && is_there(6) && is_there(7));
    assert_int_equal(cache_store(8, PAGES, 3 * size), 0);
    assert_false(is_there(5));
    assert_int_equal(cache_files(), 3);
}

/* Times are written once a day, not at every load; a clock that was wrong does not keep a file for ever. */
static void test_use_is_marked_seldom(void **state)
{
    struct stat before, after;

    (void)state;
    assert_int_equal(cache_store(1, PAGES, NO_LIMIT), 0);
    cache_set_age(cache_path(1), 3600);
    assert_int_equal(stat(cache_path(1), &before), 0);
    cache_loads(1);
    assert_int_equal(stat(cache_path(1), &after), 0);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    cache_set_age(cache_path(1), -10 * 86400);
    assert_int_equal(stat(cache_path(1), &before), 0);
    cache_loads(1);
    assert_int_equal(stat(cache_path(1), &after), 0);
    assert_true(after.st_mtim.tv_sec < before.st_mtim.tv_sec - 9 * 86400);
}

/* More than one pass sees at once. */
static void test_many_go(void **state)
{
    uint64_t size = table_size();

    (void)state;
    for (int i = 1; i <= 150; i++) {
        assert_int_equal(cache_store((uint8_t)i, PAGES, NO_LIMIT), 0);
        cache_set_age(cache_path((uint8_t)i), (i * 7919 % 151) * 100);
    }
    assert_int_equal(cache_store(200, PAGES, 10 * size), 0);
    assert_int_equal(cache_files(), 10);
    for (int i = 1; i <= 150; i++)
        assert_int_equal(is_there((uint8_t)i), i * 7919 % 151 <= 9);
}

/* Neither counted nor removed, however old: whatever has no name of ours, or is no file. */
static void test_strangers(void **state)
{
    static const char *const names[] = {
        "notes.txt",
        "01.unwind.bak",
        "01.unwind.0123456789abcde",
        "01.unwind.0123456789abcdeg",
        "01.unwind.0123456789abcdef0",
        "0.unwind",
        ".unwind",
        "0G.unwind",
        "AB.unwind",
        "01.unwin",
        "x01.unwind",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20.unwind",
    };
    char path[256], bytes[10000] = {0};
    int count = sizeof names / sizeof names[0];

    (void)state;
    assert_int_equal(mkdir(cache_folder, 0700), 0);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", cache_folder, names[i]);
        cache_write(path, bytes, sizeof bytes);
        cache_set_age(path, 1000000);
    }
    snprintf(path, sizeof path, "%s/0102.unwind", cache_folder);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    snprintf(path, sizeof path, "%s/0103.unwind", cache_folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(cache_store(1, PAGES, table_size()), 0);
    assert_int_equal(cache_store(2, PAGES, table_size()), 0);
    assert_int_equal(cache_files(), count + 3);
    assert_false(is_there(1));
}

/* What a writer that died left behind goes; what one is writing stays, and neither counts. */
static void test_partial_files(void **state)
{
    char old[256], fresh[256], bytes[10000] = {0};

    (void)state;
    assert_int_equal(mkdir(cache_folder, 0700), 0);
    snprintf(old, sizeof old, "%s.0123456789abcdef", cache_path(1));
    snprintf(fresh, sizeof fresh, "%s.fedcba9876543210", cache_path(1));
    cache_write(old, bytes, sizeof bytes);
    cache_write(fresh, bytes, sizeof bytes);
    cache_set_age(old, 3600);
    assert_int_equal(cache_store(2, PAGES, table_size()), 0);
    assert_int_equal(access(old, F_OK), -1);
    assert_int_equal(access(fresh, F_OK), 0);
    assert_int_equal(cache_files(), 2);
}

/* ---- many writers -------------------------------------------------------------------------------------- */

/* Stores tables 1 to 12 over and over, within room for 9, and looks at what others stored. */
static void race(void)
{
    uint64_t limit = 9 * table_size();

    srandom((unsigned)getpid());
    for (int i = 0; i < 300; i++) {
        uint8_t number = (uint8_t)(1 + random() % 12);
        const char *reason;
        int error = cache_load(number, &reason);

        CHILD_CHECK(!error || error == -ENOENT);
        error = cache_store((uint8_t)(1 + random() % 12), PAGES, limit);
        CHILD_CHECK(!error);
    }
}

static void test_race(void **state)
{
    enum { COUNT = 8 };
    pid_t children[COUNT];
    int status;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        children[i] = fork();
        if (!children[i]) {
            race();
            _exit(0);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_in_range(cache_files(), 1, 9);
    for (uint8_t number = 1; number <= 12; number++)
        if (is_there(number))
            cache_loads(number);
}

/* ---- no room ------------------------------------------------------------------------------------------- */

static void small_files_only(void)
{
    struct rlimit limit = {table_size() - 1, RLIM_INFINITY};

    CHILD_CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
    CHILD_CHECK(cache_store(1, PAGES, NO_LIMIT) == -EFBIG); /* SIGXFSZ would end us */
    CHILD_CHECK(cache_files() == 0);
    limit.rlim_cur++;
    CHILD_CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
    CHILD_CHECK(cache_store(1, PAGES, NO_LIMIT) == 0);
    limit.rlim_cur = 0;
    CHILD_CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
    CHILD_CHECK(cache_store(1, PAGES, NO_LIMIT) == -EFBIG);
    cache_loads(1);
    CHILD_CHECK(cache_files() == 1);
}

static void test_file_size_limit(void **state)
{
    (void)state;
    cache_in_child(0, small_files_only);
}

static void no_descriptors(void)
{
    struct rlimit limit = {0, 0};
    const char *reason;

    CHILD_CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
    CHILD_CHECK(cache_load(1, &reason) == -EMFILE);
    CHILD_CHECK(!strcmp(reason, "Too many open files"));
    CHILD_CHECK(cache_store(2, PAGES, NO_LIMIT) == -EMFILE);
}

/* Descriptors are all closed again, whatever the outcome. */
static void test_descriptors(void **state)
{
    struct rlimit before, limit;
    const char *reason;

    (void)state;
    assert_int_equal(cache_store(1, PAGES, NO_LIMIT), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = (struct rlimit){20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 30; i++) {
        cache_loads(1);
        assert_int_equal(cache_load(2, &reason), -ENOENT);
        assert_int_equal(cache_store(1, PAGES, NO_LIMIT), 0);
        chmod(cache_path(1), 0666);
        assert_int_equal(cache_load(1, &reason), -EPERM);
        assert_int_equal(cache_store(1, PAGES, 1), -E2BIG);
        chmod(cache_folder, 0777);
        assert_int_equal(cache_store(1, PAGES, NO_LIMIT), -EPERM);
        chmod(cache_folder, 0700);
        assert_int_equal(cache_store(1, PAGES, NO_LIMIT), 0);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    cache_in_child(0, no_descriptors);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, cache_set_up, cache_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_limit),   TEST(test_order),           TEST(test_use_is_marked_seldom),
        TEST(test_many_go), TEST(test_strangers),       TEST(test_partial_files),
        TEST(test_race),    TEST(test_file_size_limit), TEST(test_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
