/* The mark of tables that were found intact: what is relied on, and what takes it away. */
#include "common/table_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "cache_fixture.h"
#include "common/table_cache.h"
#include "common/unwind_build.h"

static struct stat status_of(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return status;
}

static int is_marked(void)
{
    struct stat status = status_of(cache_path(1));
    return hpp_table_is_marked(&status);
}

/* Has table 1 loaded once, and so marked. */
static void make_marked(void)
{
    assert_int_equal(cache_store(1, 4, NO_LIMIT), 0);
    assert_false(is_marked());
    cache_loads(1);
    assert_true(is_marked());
}

/* Changes the last byte of the file at PATH. */
static void damage(const char *path)
{
    int fd = open(path, O_RDWR);
    off_t last = lseek(fd, -1, SEEK_END);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, last), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, last), 1);
    close(fd);
}

static void give_mtime(const char *path, const struct stat *status)
{
    struct timespec times[2] = {status->st_atim, status->st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_change_is_seen(void **state)
{
    (void)state;
    make_marked();
    damage(cache_path(1));
    assert_false(is_marked());
    cache_refuses(1, -EINVAL, "its checksum is wrong");
    assert_false(is_marked());
}

/* What is marked is not gone through: only its owner can deceive himself so, and who only looks is not. */
static void test_marked_is_relied_on(void **state)
{
    const struct hpp_unwind_table *table;
    struct stat before;
    uint8_t build_id[20];
    const char *reason;

    (void)state;
    make_marked();
    before = status_of(cache_path(1));
    damage(cache_path(1));
    give_mtime(cache_path(1), &before);
    memset(build_id, 1, sizeof build_id);
    assert_int_equal(hpp_table_cache_load(cache_folder, build_id, sizeof build_id, &table, &reason), 0);
    for (uint64_t address = table->base; address < table->base + (4ull << table->shift); address += 999)
        assert_in_range(hpp_unwind_find(table, address) - table->rule, 0, table->rules - 1);
    hpp_unwind_free(table);
    assert_int_equal(hpp_table_cache_peek(cache_folder, build_id, sizeof build_id, &table, &reason), -EINVAL);
    assert_string_equal(reason, "its checksum is wrong");
}

/* A copy that keeps the times is another file. */
static void test_copy_is_not_marked(void **state)
{
    struct stat before;
    char copy[300];
    uint8_t bytes[4096];
    int fd;
    ssize_t size;

    (void)state;
    make_marked();
    before = status_of(cache_path(1));
    fd = open(cache_path(1), O_RDONLY);
    size = read(fd, bytes, sizeof bytes);
    assert_in_range(size, 1, sizeof bytes - 1);
    close(fd);
    snprintf(copy, sizeof copy, "%s/copy", cache_folder);
    cache_write(copy, bytes, (size_t)size);
    damage(copy);
    give_mtime(copy, &before);
    assert_int_equal(rename(copy, cache_path(1)), 0);
    assert_false(is_marked());
    cache_refuses(1, -EINVAL, "its checksum is wrong");
}

/* The day of the last use is told beside the mark. */
static void test_use(void **state)
{
    struct stat status;

    (void)state;
    make_marked();
    status = status_of(cache_path(1));
    status.st_mtim.tv_sec -= 3 * 24 * 3600;
    give_mtime(cache_path(1), &status);
    assert_true(is_marked());
    cache_loads(1);
    assert_true(is_marked());
    assert_true(status_of(cache_path(1)).st_mtim.tv_sec > time(NULL) - 24 * 3600);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, cache_set_up, cache_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_change_is_seen),
        TEST(test_marked_is_relied_on),
        TEST(test_copy_is_not_marked),
        TEST(test_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
