/* Unwind tables on disk: where, what comes back, and what is refused and why. */
#include "common/table_cache.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cache_fixture.h"
#include "common/unwind_build.h"

/* ---- where, and what comes back ---------------------------------------------------------------------- */

static void test_directory(void **state)
{
    static const struct {
        const char *setting;
        unsigned euid;
        const char *cache_home, *home;
        int result;
        const char *directory;
    } cases[] = {
        {NULL, 0, "/x", "/h", 0, "/var/cache/hpprof/unwind"},
        {"", 0, NULL, NULL, 0, "/var/cache/hpprof/unwind"},
        {NULL, 1, "/x", "/h", 0, "/x/hpprof/unwind"},
        {NULL, 1, "/x/", "/h", 0, "/x//hpprof/unwind"},
        {NULL, 1, "x", "/h", 0, "/h/.cache/hpprof/unwind"},
        {"", 1, "", "/h", 0, "/h/.cache/hpprof/unwind"},
        {NULL, 1, NULL, "h", -ENOENT, ""},
        {NULL, 1, NULL, "", -ENOENT, ""},
        {NULL, 1, NULL, NULL, -ENOENT, ""},
        {"off", 0, "/x", "/h", -ENOENT, ""},
        {"off", 1, "/x", "/h", -ENOENT, ""},
        {"/c", 0, "/x", "/h", 0, "/c/unwind"},
        {"/c//", 1, NULL, NULL, 0, "/c/unwind"},
        {"/", 1, NULL, NULL, 0, "/unwind"},
        {"c", 1, "/x", "/h", -EINVAL, ""},
    };
    char directory[64], longest[58];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(hpp_table_cache_directory(directory, sizeof directory, cases[i].setting,
                                                   cases[i].euid, cases[i].cache_home, cases[i].home),
                         cases[i].result);
        assert_string_equal(directory, cases[i].directory);
    }
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = 0;
    assert_int_equal(hpp_table_cache_directory(directory, sizeof directory, longest, 1, NULL, NULL),
                     -ENAMETOOLONG);
    assert_string_equal(directory, "");
    longest[sizeof longest - 3] = 0;
    assert_int_equal(hpp_table_cache_directory(directory, sizeof directory, longest, 1, NULL, NULL), 0);
    assert_int_equal(strlen(directory), 62);
}

static void test_store_and_load(void **state)
{
    struct hpp_unwind_table *made = cache_table(7, 500);
    const struct hpp_unwind_table *loaded, *again;
    const char *reason;

    (void)state;
    assert_int_equal(hpp_table_cache_load(cache_folder, made->build_id, 20, &loaded, &reason), -ENOENT);
    assert_null(loaded);
    assert_int_equal(hpp_table_cache_store(cache_folder, made, NO_LIMIT), 0);
    assert_int_equal(hpp_table_cache_load(cache_folder, made->build_id, 20, &loaded, &reason), 0);
    assert_int_equal(loaded->size, made->size);
    assert_memory_equal(loaded, made, made->size);
    assert_int_equal(cache_mode(cache_path(7)), 0444);
    assert_int_equal(cache_mode(cache_folder), geteuid() ? 0700 : 0755);
    assert_int_equal(cache_files(), 1);
    cache_refuses(8, -ENOENT, "No such file or directory");
    /* Stored again, or removed, it stays readable where it is mapped. */
    assert_int_equal(hpp_table_cache_store(cache_folder, made, NO_LIMIT), 0);
    assert_int_equal(hpp_table_cache_peek(cache_folder, made->build_id, 20, &again, &reason), 0);
    assert_int_equal(unlink(cache_path(7)), 0);
    assert_memory_equal(loaded, made, made->size);
    assert_memory_equal(again, made, made->size);
    hpp_unwind_free(loaded);
    hpp_unwind_free(again);
    free(made);
}

static void test_build_id_sizes(void **state)
{
    struct hpp_unwind_table *table = cache_table(3, 1);
    const struct hpp_unwind_table *loaded;
    const char *reason;

    (void)state;
    for (unsigned size = 0; size <= HPP_BUILD_ID_MAX + 1; size++) {
        int expected = size && size <= HPP_BUILD_ID_MAX ? 0 : -EINVAL;
        uint8_t build_id[HPP_BUILD_ID_MAX + 1] = {0};

        memset(table->build_id, 0, sizeof table->build_id);
        memset(table->build_id, 3, size <= HPP_BUILD_ID_MAX ? size : HPP_BUILD_ID_MAX);
        memset(build_id, 3, size);
        table->build_id_size = (uint8_t)size;
        table->checksum = hpp_unwind_checksum(table);
        assert_int_equal(hpp_table_cache_store(cache_folder, table, NO_LIMIT), expected);
        assert_int_equal(hpp_table_cache_load(cache_folder, build_id, size, &loaded, &reason), expected);
        if (!expected)
            hpp_unwind_free(loaded);
    }
    assert_int_equal(cache_files(), HPP_BUILD_ID_MAX);
    free(table);
}

/* The folder and two above it are made, whatever the umask; a home that is not there is not. */
static void test_missing_folders(void **state)
{
    mode_t mode = geteuid() ? 0700 : 0755;

    (void)state;
    umask(0077);
    snprintf(cache_folder, sizeof cache_folder, "%s/a/b/c/d", cache_base);
    assert_int_equal(cache_store(1, 1, NO_LIMIT), -ENOENT);
    snprintf(cache_folder, sizeof cache_folder, "%s/a", cache_base);
    assert_int_equal(access(cache_folder, F_OK), -1);
    snprintf(cache_folder, sizeof cache_folder, "%s/a/b/c", cache_base);
    assert_int_equal(cache_store(1, 1, NO_LIMIT), 0);
    cache_loads(1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cache_mode(cache_folder), mode);
        *strrchr(cache_folder, '/') = 0;
    }
    snprintf(cache_folder, sizeof cache_folder, "%s/a/b/d", cache_base);
    assert_int_equal(cache_store(1, 1, NO_LIMIT), 0);
}

/* ---- whom files and folders may belong to -------------------------------------------------------------- */

static void test_modes(void **state)
{
    static const mode_t bad_folders[] = {0770, 0707, 0722, 01777, 0720, 02775},
                        bad_files[] = {0464, 0446, 0422, 0666, 04446};

    (void)state;
    assert_int_equal(cache_store(1, 1, NO_LIMIT), 0);
    for (size_t i = 0; i < sizeof bad_folders / sizeof bad_folders[0]; i++) {
        chmod(cache_folder, bad_folders[i]);
        cache_refuses(1, -EPERM, "others may write to the folder");
        assert_int_equal(cache_store(2, 1, NO_LIMIT), -EPERM);
    }
    chmod(cache_folder, 0700);
    cache_loads(1);
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        chmod(cache_path(1), bad_files[i]);
        cache_refuses(1, -EPERM, "others may write to it");
    }
    chmod(cache_path(1), 0644);
    cache_loads(1);
    assert_int_equal(cache_files(), 1);
}

static void belongs_to_root(void)
{
    cache_loads(1); /* root's, and only root may write: everybody may use it */
    CHILD_CHECK(cache_store(2, 1, NO_LIMIT) == -EACCES);
    CHILD_CHECK(cache_store(1, 1, NO_LIMIT) == -EACCES);
    CHILD_CHECK(cache_files() == 2);
}

static void test_as_root_owners(void **state)
{
    (void)state;
    if (geteuid())
        skip();
    assert_int_equal(cache_store(1, 1, NO_LIMIT), 0);
    assert_int_equal(cache_store(3, 1, NO_LIMIT), 0);
    cache_in_child(1, belongs_to_root);
    assert_int_equal(chown(cache_path(1), 65534, 65534), 0);
    cache_refuses(1, -EPERM, "it belongs to another user");
    assert_int_equal(chown(cache_path(1), 0, 65534), 0);
    cache_loads(1);
    assert_int_equal(chown(cache_folder, 65534, 0), 0);
    cache_refuses(1, -EPERM, "the folder belongs to another user");
    assert_int_equal(cache_store(1, 1, NO_LIMIT), -EPERM);
}

static void no_write_permission(void)
{
    const char *reason;

    CHILD_CHECK(hpp_table_cache_check(cache_folder, &reason) == -EACCES);
    CHILD_CHECK(strcmp(reason, "Permission denied") == 0);
    CHILD_CHECK(cache_store(1, 1, NO_LIMIT) == -EACCES);
    chmod(cache_folder, 0100);
    CHILD_CHECK(cache_store(1, 1, NO_LIMIT) == -EACCES);
    strcat(cache_folder, "/further");
    CHILD_CHECK(cache_store(1, 1, NO_LIMIT) == -EACCES);
}

static void test_folder_that_cannot_be_written(void **state)
{
    (void)state;
    assert_int_equal(mkdir(cache_folder, 0500), 0);
    if (!geteuid())
        assert_int_equal(chown(cache_folder, 65534, 65534), 0);
    cache_in_child(1, no_write_permission);
    chmod(cache_folder, 0700);
    assert_int_equal(cache_files(), 0);
}

/* What can be seen before a table is there: the folder is made, and is not one to distrust. */
static void test_check(void **state)
{
    const char *reason;

    (void)state;
    assert_int_equal(hpp_table_cache_check(cache_folder, &reason), 0);
    assert_int_equal(cache_mode(cache_folder), geteuid() ? 0700 : 0755);
    assert_int_equal(cache_files(), 0);
    chmod(cache_folder, 0777);
    assert_int_equal(hpp_table_cache_check(cache_folder, &reason), -EPERM);
    assert_string_equal(reason, "others may write to the folder");
    assert_int_equal(hpp_table_cache_check("/dev/null/unwind", &reason), -ENOTDIR);
    assert_string_equal(reason, "the folder is a symbolic link, or no folder");
}

/* Nothing else than a regular file is opened, and no link is followed, but the path to the folder may have
 * some. What stands in a table's place is replaced if rename(2) can. */
static void test_other_kinds(void **state)
{
    char elsewhere[300];

    (void)state;
    assert_int_equal(cache_store(1, 1, NO_LIMIT), 0);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", cache_base);
    assert_int_equal(rename(cache_path(1), elsewhere), 0);
    assert_int_equal(symlink(elsewhere, cache_path(1)), 0);
    cache_refuses(1, -ELOOP, "it is a symbolic link");
    assert_int_equal(cache_store(1, 2, NO_LIMIT), 0);
    cache_loads(1);
    assert_int_equal(cache_mode(elsewhere), 0444);
    unlink(cache_path(1));
    assert_int_equal(mkfifo(cache_path(1), 0600), 0);
    cache_refuses(1, -EPERM, "it is not a regular file");
    unlink(cache_path(1));
    assert_int_equal(mkdir(cache_path(1), 0700), 0);
    cache_refuses(1, -EPERM, "it is not a regular file");
    assert_int_equal(cache_store(1, 1, NO_LIMIT), -EISDIR);
    assert_int_equal(cache_files(), 1);
    rmdir(cache_path(1));

    assert_int_equal(cache_store(1, 1, NO_LIMIT), 0);
    snprintf(elsewhere, sizeof elsewhere, "%s/link", cache_base);
    assert_int_equal(symlink(cache_folder, elsewhere), 0);
    strcpy(cache_folder, elsewhere);
    cache_refuses(1, -ENOTDIR, "the folder is a symbolic link, or no folder");
    assert_int_equal(cache_store(2, 1, NO_LIMIT), -ENOTDIR);
    unlink(elsewhere);
    assert_int_equal(symlink(cache_base, elsewhere), 0);
    strcat(cache_folder, "/unwind");
    cache_loads(1);
}

/* ---- what files hold ----------------------------------------------------------------------------------- */

static void test_cut_and_long(void **state)
{
    struct hpp_unwind_table *table = cache_table(1, 4);
    char *longer = calloc(1, table->size + 5000);

    (void)state;
    memcpy(longer, table, table->size);
    assert_int_equal(mkdir(cache_folder, 0700), 0);
    for (size_t size = 0; size < table->size; size++) {
        cache_write(cache_path(1), table, size);
        cache_refuses(1, -EINVAL, "it is cut short");
    }
    cache_write(cache_path(1), longer, table->size);
    cache_loads(1);
    cache_write(cache_path(1), longer, table->size + 1);
    cache_refuses(1, -EINVAL, "it is too long");
    cache_write(cache_path(1), longer, table->size + 5000);
    cache_refuses(1, -EINVAL, "it is too long");
    assert_int_equal(truncate(cache_path(1), 3ll << 30), 0);
    cache_refuses(1, -EINVAL, "it is too large");
    assert_int_equal(cache_store(1, 1, NO_LIMIT), 0);
    cache_loads(1);
    free(longer);
    free(table);
}

/* Every byte counts. */
static void test_damage(void **state)
{
    struct hpp_unwind_table *table = cache_table(1, 20);
    uint8_t *bytes = (uint8_t *)table;
    size_t size = table->size;
    const char *reason;

    (void)state;
    assert_int_equal(mkdir(cache_folder, 0700), 0);
    for (size_t i = 0; i < size; i++) {
        uint8_t before = bytes[i];
        for (int flip = 1; flip < 256; flip = flip * 16 | 15) { /* one bit, all bits */
            bytes[i] = before ^ (uint8_t)flip;
            cache_write(cache_path(1), bytes, size);
            assert_int_equal(cache_load(1, &reason), -EINVAL);
            if (i >= offsetof(struct hpp_unwind_table, checksum))
                assert_string_equal(reason, "its checksum is wrong");
        }
        bytes[i] = before;
    }
    assert_int_equal(cache_store(1, 1, NO_LIMIT), 0);
    cache_loads(1);
    assert_int_equal(cache_files(), 1);
    free(table);
}

/* Writes TABLE with a checksum that fits, as that of build-id 1. */
static void write_whole(struct hpp_unwind_table *table)
{
    table->checksum = hpp_unwind_checksum(table);
    cache_write(cache_path(1), table, table->size);
}

static void test_wrong_contents(void **state)
{
    struct hpp_unwind_table *table = cache_table(1, 4);

    (void)state;
    assert_int_equal(mkdir(cache_folder, 0700), 0);
    table->build_id[19]++;
    write_whole(table);
    cache_refuses(1, -EINVAL, "it is for another build-id");
    table->build_id[19]--;
    table->build_id_size--;
    write_whole(table);
    cache_refuses(1, -EINVAL, "it is for another build-id");
    table->build_id_size++;
    table->magic += 1ull << 56;
    write_whole(table);
    cache_refuses(1, -EINVAL, "it is of another version");
    table->magic = 0;
    write_whole(table);
    cache_refuses(1, -EINVAL, "it is no unwind table");
    table->magic = HPP_UNWIND_MAGIC;
    table->shift = HPP_UNWIND_SHIFT_MAX + 1;
    write_whole(table);
    cache_refuses(1, -EINVAL, "a number is out of bounds");
    table->shift--;
    table->rule[0].cfa = HPP_CFA_INDEXED + 1;
    write_whole(table);
    cache_refuses(1, -EINVAL, "a number is out of bounds");
    table->rule[0].cfa = HPP_CFA_NONE;
    write_whole(table);
    cache_loads(1);
    free(table);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, cache_set_up, cache_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory),
        TEST(test_store_and_load),
        TEST(test_build_id_sizes),
        TEST(test_missing_folders),
        TEST(test_modes),
        TEST(test_as_root_owners),
        TEST(test_folder_that_cannot_be_written),
        TEST(test_check),
        TEST(test_other_kinds),
        TEST(test_cut_and_long),
        TEST(test_damage),
        TEST(test_wrong_contents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
