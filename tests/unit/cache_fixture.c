/* A cache of unwind tables in a folder of its own, and small tables made by hand. */
#include "cache_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/table_cache.h"
#include "common/unwind_build.h"

char cache_base[] = "/tmp/hpprof-test-XXXXXX"; /* a fresh folder for each test */
char cache_folder[64];                         /* the cache's, in it; not made */

int cache_set_up(void **state)
{
    (void)state;
    strcpy(cache_base + strlen(cache_base) - 6, "XXXXXX");
    umask(022);
    if (!mkdtemp(cache_base) || chmod(cache_base, 0755))
        return -1;
    snprintf(cache_folder, sizeof cache_folder, "%s/unwind", cache_base);
    return 0;
}

int cache_tear_down(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", cache_base);
    return system(command);
}

/* A table of PAGES pages with a row each, for the build-id of 20 bytes NUMBER; free() it. */
struct hpp_unwind_table *cache_table(uint8_t number, uint32_t pages)
{
    uint32_t rules = 3, rows = pages;
    struct hpp_unwind_table head = {
        .pages = pages, .rows = rows, .rules = rules, .shift = HPP_UNWIND_SHIFT_MAX};
    size_t size = hpp_unwind_size(&head);
    struct hpp_unwind_table *table = calloc(1, size);
    uint32_t *row;

    assert_non_null(table);
    *table = (struct hpp_unwind_table){.magic = HPP_UNWIND_MAGIC,
                                       .size = size,
                                       .base = 0x400000,
                                       .pages = pages,
                                       .rows = rows,
                                       .rules = rules,
                                       .shift = HPP_UNWIND_SHIFT_MAX,
                                       .build_id_size = 20};
    memset(table->build_id, number, 20);
    for (uint32_t i = 1; i < rules; i++)
        table->rule[i] = (struct hpp_unwind_rule){
            .cfa = HPP_CFA_SP, .ra = HPP_SAVED_AT_CFA, .cfa_offset = (int32_t)(8 * i), .ra_offset = -8};
    for (uint32_t i = 0; i <= pages; i++)
        hpp_unwind_set_first(table, i, i);
    row = (uint32_t *)hpp_unwind_rows(table);
    for (uint32_t i = 0; i < rows; i++)
        row[i] = 16u << 16 | (i % 2 + 1);
    table->checksum = hpp_unwind_checksum(table);
    return table;
}

char *cache_path(uint8_t number)
{
    static char path[256];
    int used = snprintf(path, sizeof path, "%s/", cache_folder);

    for (int i = 0; i < 20; i++)
        used += sprintf(path + used, "%02x", number);
    strcpy(path + used, ".unwind");
    return path;
}

int cache_store(uint8_t number, uint32_t pages, uint64_t limit)
{
    struct hpp_unwind_table *table = cache_table(number, pages);
    int error = hpp_table_cache_store(cache_folder, table, limit);

    free(table);
    return error;
}

/* Loads table NUMBER and forgets it. Returns 0 or the error; *REASON is set then, and only then. */
int cache_load(uint8_t number, const char **reason)
{
    const struct hpp_unwind_table *table = (void *)1;
    uint8_t build_id[20];
    int error;

    memset(build_id, number, sizeof build_id);
    *reason = NULL;
    error = hpp_table_cache_load(cache_folder, build_id, sizeof build_id, &table, reason);
    assert_int_equal(!error, table != NULL);
    assert_int_equal(!error, *reason == NULL);
    if (!error) {
        assert_true(hpp_unwind_is_valid(table, table->size));
        assert_memory_equal(table->build_id, build_id, sizeof build_id);
        hpp_unwind_free(table);
    }
    return error;
}

void cache_refuses(uint8_t number, int error, const char *because)
{
    const char *reason;

    assert_int_equal(cache_load(number, &reason), error);
    assert_string_equal(reason, because);
}

void cache_loads(uint8_t number)
{
    const char *reason;
    assert_int_equal(cache_load(number, &reason), 0);
}

/* The number of entries in the cache's folder, of whatever kind. */
int cache_files(void)
{
    DIR *directory = opendir(cache_folder);
    int count = 0;

    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return directory ? count - 2 : 0;
}

void cache_write(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

mode_t cache_mode(const char *path)
{
    struct stat status;

    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

void cache_set_age(const char *path, int64_t seconds)
{
    struct timespec times[2];

    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

void cache_in_child(int as_nobody, void (*body)(void))
{
    pid_t child = fork();
    int status;

    if (!child) {
        if (as_nobody && !geteuid())
            CHILD_CHECK(!setgroups(0, NULL) && !setgid(65534) && !setuid(65534));
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
