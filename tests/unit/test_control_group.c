/* The memory limits of control groups, read from folders that look like those of both versions. */
#include "preload/remap/control_group.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define MIB         (1ull << 20)
#define TOO_LITTLE  "the memory limit of the control group leaves too little room"
#define UNREADABLE  "the memory limit of the control group cannot be read"
#define VERSION_ONE "3:cpuset:/\n4:name=systemd:/,memory:/no\n5:cpu,memory,pids:/a/b\n0::/elsewhere\n"
#define UNLIMITED   "9223372036854771712\n"

static char root[] = "/tmp/hpprof-groups-XXXXXX";

static int make_root(void **state)
{
    (void)state;
    strcpy(root + strlen(root) - 6, "XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_path(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_path, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *group, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s%s/%s", root, group, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A group that allows LIMIT and uses USAGE, NULL for the lack of such a file. */
static void make_group(const char *group, int version, const char *limit, const char *usage)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s", root, group);
    mkdir(path, 0755);
    put(group, "cgroup.procs", "1\n");
    if (limit)
        put(group, version == 1 ? "memory.limit_in_bytes" : "memory.max", limit);
    if (usage)
        put(group, version == 1 ? "memory.usage_in_bytes" : "memory.current", usage);
}

static void expect(const char *groups, int is_first, uint64_t size, const char *reason)
{
    const char *got = hpp_control_group_refused(root, groups, is_first, size);

    if (reason && got)
        assert_string_equal(got, reason);
    else
        assert_ptr_equal(got, reason);
}

static void test_version_one(void **state)
{
    (void)state;
    make_group("/memory", 1, UNLIMITED, "4096\n");
    make_group("/memory/a", 1, UNLIMITED, "4096\n");
    make_group("/memory/a/b", 1, "10485760\n", "2097152\n");
    expect(VERSION_ONE, 1, 4 * MIB, NULL); /* half of what is left */
    expect(VERSION_ONE, 1, 4 * MIB + 1, TOO_LITTLE);
    make_group("/memory/a", 1, "6291456\n", "2097152\n"); /* of the one above it */
    expect(VERSION_ONE, 1, 2 * MIB, NULL);
    expect(VERSION_ONE, 1, 4 * MIB, TOO_LITTLE);
}

static void test_version_two(void **state)
{
    (void)state;
    make_group("", 2, NULL, NULL);
    make_group("/a", 2, "max\n", "4096\n");
    make_group("/a/b", 2, "10485760\n", "2097152\n");
    make_group("/a/b/c", 2, NULL, NULL); /* without the controller */
    expect("0::/a/b/c\n", 1, 4 * MIB, NULL);
    expect("0::/a/b/c\n", 1, 4 * MIB + 1, TOO_LITTLE);
    expect("0::/a\n", 1, 1024 * MIB, NULL);
    expect("0::/\n", 1, 1024 * MIB, NULL);
    make_group("/a", 2, "0\n", "4096\n");
    expect("0::/a\n", 1, 1, TOO_LITTLE);
}

/* Version 2 is beside version 1, and has the controller of memory or has it not. */
static void test_both(void **state)
{
    char folder[64];

    (void)state;
    snprintf(folder, sizeof folder, "%s/unified", root);
    mkdir(folder, 0755);
    make_group("/unified", 2, NULL, NULL);
    make_group("/unified/a", 2, "4194304\n", "0\n");
    expect("1:cpu:/\n0::/a\n", 1, 2 * MIB, NULL);
    expect("1:cpu:/\n0::/a\n", 1, 3 * MIB, TOO_LITTLE);
    make_group("/memory", 1, UNLIMITED, "0\n");
    expect("2:memory:/\n1:cpu:/\n0::/a\n", 1, 3 * MIB, NULL);
}

/* A container without a namespace of groups sees its own part as the root. */
static void test_part(void **state)
{
    (void)state;
    make_group("/memory", 1, "4194304\n", "0\n");
    make_group("/memory/inner", 1, UNLIMITED, "0\n");
    expect("2:memory:/docker/0123\n", 1, 2 * MIB, NULL);
    expect("2:memory:/docker/0123\n", 1, 3 * MIB, TOO_LITTLE);
    expect("2:memory:/docker/0123/inner\n", 1, 3 * MIB, TOO_LITTLE);
    make_group("", 2, "4194304\n", "0\n");
    expect("0::/docker/0123\n", 1, 2 * MIB, NULL);
    expect("0::/docker/0123\n", 1, 3 * MIB, TOO_LITTLE);
}

/* A container with one is in "/", and its limits are the root's. */
static void test_namespace(void **state)
{
    (void)state;
    make_group("", 2, "4194304\n", "0\n");
    expect("0::/\n", 0, 2 * MIB, NULL);
    expect("0::/\n", 0, 3 * MIB, TOO_LITTLE);
    expect("0::/../other\n", 0, 1, UNREADABLE);
}

static void test_unreadable(void **state)
{
    (void)state;
    expect(VERSION_ONE, 1, 1, UNREADABLE);
    expect("0::/a\n", 1, 1, UNREADABLE);
    expect("0::/a", 1, 1, UNREADABLE); /* cut off */
    expect("0::/\n", 0, 1, UNREADABLE);
    expect("0::/\n", 1, 1, NULL); /* the machine's first group has no limit */
    expect("2:memory:/\n", 1, 1, NULL);
    expect("", 1, 1, NULL); /* in no group */
    make_group("", 2, NULL, NULL);
    expect("0::/a\n", 1, 1, UNREADABLE); /* the part that is seen does not tell */
    make_group("/memory", 1, NULL, NULL);
    expect("2:memory:/\n", 1, 1, UNREADABLE);
    make_group("/memory", 1, "4194304\n", NULL);
    expect("2:memory:/\n", 1, 1, UNREADABLE);
    make_group("/memory", 1, "junk\n", "0\n");
    expect("2:memory:/\n", 1, 1, UNREADABLE);
    make_group("/memory", 1, "4194304\n", "0\n");
    expect("2:memory:/\n", 1, 1, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_version_one, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_version_two, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_both, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_part, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_namespace, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_unreadable, make_root, remove_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
