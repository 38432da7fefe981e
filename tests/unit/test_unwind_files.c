/* Unwind tables of whole files against libdw: libraries and programs of the system, this test, the vdso. And
 * the comparison finds deliberate bugs. */
#include "common/unwind_build.h"
#include "symbolizer/unwind_check.h"

#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

struct differences {
    unsigned count;
    char first[2 * HPP_UNWIND_RULE_SIZE + 64];
};

static void take(void *context, uint64_t address, const struct hpp_unwind_rule *ours,
                 const struct hpp_unwind_rule *theirs)
{
    struct differences *differences = context;
    char ours_text[HPP_UNWIND_RULE_SIZE], theirs_text[HPP_UNWIND_RULE_SIZE] = "nothing";

    if (theirs)
        hpp_unwind_rule_text(theirs, theirs_text);
    if (!differences->count++)
        snprintf(differences->first, sizeof differences->first, "0x%lx: '%s', libdw '%s'",
                 (unsigned long)address, hpp_unwind_rule_text(ours, ours_text), theirs_text);
}

/* The table of FD, which libdw must confirm; to be freed. */
static const struct hpp_unwind_table *check_file(int fd, const char *path, unsigned rows_min)
{
    struct hpp_unwind_build build = {.source = {0, fd}};
    const struct hpp_unwind_table *table;
    struct differences differences = {0};

    if (hpp_unwind_build(&build, &table))
        fail_msg("%s: %s", path, build.reason);
    assert_true(hpp_unwind_is_valid(table, table->size));
    assert_in_range(table->rows, rows_min, 10000000);
    assert_in_range(build.skipped, 0, build.entries / 100 + 2);
    assert_in_range(hpp_unwind_check(fd, table, take, &differences), table->rows, INT64_MAX);
    if (differences.count)
        fail_msg("%s: %u differences, the first at %s", path, differences.count, differences.first);
    return table;
}

static void check_path(const char *pattern, unsigned rows_min)
{
    glob_t found;
    int fd;

    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    fd = open(found.gl_pathv[0], O_RDONLY);
    assert_in_range(fd, 0, 1000000);
    hpp_unwind_free(check_file(fd, found.gl_pathv[0], rows_min));
    close(fd);
    globfree(&found);
}

static void test_libraries(void **state)
{
    (void)state;
    check_path("/lib/*/libc.so.6", 10000);
    check_path("/lib64/ld-linux-x86-64.so.2", 1000);
    check_path("/usr/lib/*/libstdc++.so.6", 10000);
}

static void test_programs(void **state)
{
    (void)state;
    check_path("/proc/self/exe", 100);
    check_path("/bin/bash", 1000);
    check_path("/usr/lib/gcc/*/*/cc1", 100000);
}

/* Hand-written assembly with information of its own. */
static void test_libcrypto(void **state)
{
    (void)state;
    check_path("/usr/lib/*/libcrypto.so.3", 10000);
}

/* The vdso is nowhere but in memory; libdw gets a copy. */
static void test_vdso(void **state)
{
    uint64_t memory = getauxval(AT_SYSINFO_EHDR);
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)memory;
    size_t size = elf->e_shoff + (size_t)elf->e_shnum * elf->e_shentsize;
    struct hpp_unwind_build build = {.source = {memory, -1}};
    const struct hpp_unwind_table *table, *of_file;
    int fd = memfd_create("vdso", 0);

    (void)state;
    assert_int_equal(hpp_unwind_build(&build, &table), 0);
    assert_int_equal(write(fd, elf, size), size);
    of_file = check_file(fd, "the vdso", 5);
    assert_int_equal(table->size, of_file->size);
    assert_memory_equal(table, of_file, table->size);
    hpp_unwind_free(table);
    hpp_unwind_free(of_file);
    close(fd);
}

/* This program as it runs: the same as its file. */
static void test_memory(void **state)
{
    struct hpp_unwind_build build = {.source = {0, open("/proc/self/exe", O_RDONLY)}};
    const struct hpp_unwind_table *of_file, *of_memory;

    (void)state;
    assert_int_equal(hpp_unwind_build(&build, &of_file), 0);
    close(build.source.fd);
    build.source = (struct hpp_elf_source){getauxval(AT_PHDR) - sizeof(Elf64_Ehdr), -1};
    assert_int_equal(hpp_unwind_build(&build, &of_memory), 0);
    assert_int_equal(of_file->size, of_memory->size);
    assert_memory_equal(of_file, of_memory, of_file->size);
    hpp_unwind_free(of_file);
    hpp_unwind_free(of_memory);
}

/* With each of the bugs that can be planted, libdw says something else. */
static void test_planted_bugs(void **state)
{
    static const enum hpp_unwind_bug bugs[] = {HPP_UNWIND_BUG_RESTORE_STATE, HPP_UNWIND_BUG_LOCATION,
                                               HPP_UNWIND_BUG_OFFSET, HPP_UNWIND_BUG_NONE};
    int fd = open("/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY);

    (void)state;
    for (size_t i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        struct hpp_unwind_build build = {.source = {0, fd}};
        const struct hpp_unwind_table *table;
        struct differences differences = {0};

        hpp_unwind_bug = bugs[i];
        assert_int_equal(hpp_unwind_build(&build, &table), 0);
        hpp_unwind_bug = HPP_UNWIND_BUG_NONE;
        assert_in_range(hpp_unwind_check(fd, table, take, &differences), table->rows, INT64_MAX);
        if (bugs[i])
            assert_in_range(differences.count, 1000, UINT32_MAX);
        else
            assert_int_equal(differences.count, 0);
        hpp_unwind_free(table);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_libraries), cmocka_unit_test(test_programs),
        cmocka_unit_test(test_libcrypto), cmocka_unit_test(test_vdso),
        cmocka_unit_test(test_memory),    cmocka_unit_test(test_planted_bugs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
