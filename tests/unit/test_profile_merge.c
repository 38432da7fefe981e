/* Merging and writing profiles. */
#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct hpp_profile *program(int64_t pid, const char *path, const char *build_id, uint64_t base)
{
    struct fixture fixture;
    struct hpp_profile *profile;

    fixture_program(&fixture, pid, path, build_id, base);
    profile = fixture_profile(&fixture);
    fixture_free(&fixture);
    return profile;
}

/* A and B merged, and freed. */
static struct hpp_profile *merged(struct hpp_profile *a, struct hpp_profile *b, bool label)
{
    struct hpp_profile *all = hpp_profile_new();

    assert_int_equal(hpp_profile_merge(all, a, label), 0);
    assert_int_equal(hpp_profile_merge(all, b, label), 0);
    hpp_profile_free(a);
    hpp_profile_free(b);
    return all;
}

/* The same image elsewhere in memory: one mapping, the same locations, samples added up. */
static void test_rebased(void **state)
{
    struct hpp_profile *all = merged(program(100, "/bin/app", "abcd", 0x400000),
                                     program(200, "/bin/app", "abcd", 0x555500000000), false);
    size_t depth;
    const uint32_t *stack = hpp_profile_stack(all, 0, &depth);

    (void)state;
    assert_int_equal(all->mapping_count, 3); /* the image, and //anon of each process */
    assert_int_equal(all->mappings[0].start, 0x400000);
    assert_int_equal(all->locations[stack[0]].address, 0x400010);
    assert_int_equal(all->location_count, 3 + 2);
    assert_int_equal(fixture_total(all, 0), 22);
    for (size_t i = 0; i < all->location_count; i++)
        if (all->locations[i].mapping == 0)
            assert_in_range(all->locations[i].address, 0x400000, 0x40ffff);
    hpp_profile_free(all);
}

static void test_images_differ(void **state)
{
    struct hpp_profile *all =
        merged(program(1, "/bin/app", "abcd", 0x400000), program(2, "/bin/app", "abce", 0x400000), false);

    (void)state;
    assert_int_equal(all->mapping_count, 4); /* another build-id: another image */
    hpp_profile_free(all);
    all = merged(program(1, "/bin/app", "abcd", 0x400000), program(2, "/opt/same", "abcd", 0x400000), false);
    assert_int_equal(all->mapping_count, 3); /* another path, the same bytes */
    hpp_profile_free(all);
    all = merged(program(1, "/bin/app", "", 0x400000), program(2, "/bin/app", "", 0x800000), false);
    assert_int_equal(all->mapping_count, 3);
    hpp_profile_free(all);
    all = merged(program(1, "/bin/app", "", 0x400000), program(2, "/bin/other", "", 0x400000), false);
    assert_int_equal(all->mapping_count, 4);
    hpp_profile_free(all);
}

/* Code without a file belongs to its process. */
static void test_anon_keeps_its_process(void **state)
{
    struct hpp_profile *all =
        merged(program(7, "/bin/app", "abcd", 0x400000), program(7, "/bin/app", "abcd", 0x400000), false);
    struct hpp_profile *again;

    (void)state;
    assert_int_equal(all->mapping_count, 2); /* the same process twice */
    assert_int_equal(all->sample_count, 3);
    hpp_profile_free(all);
    all = merged(program(7, "/bin/app", "abcd", 0x400000), program(8, "/bin/app", "abcd", 0x400000), true);
    again = merged(all, program(7, "/bin/app", "abcd", 0x400000), true);
    assert_int_equal(again->mapping_count, 1 + 3); /* whose //anon was whose is not known any more */
    assert_int_equal(fixture_total(again, 0), 33);
    hpp_profile_free(again);
}

/* PROCESS and PID of sample INDEX; NULL and -1 where there is none. */
static const char *process_of(const struct hpp_profile *profile, size_t index, int64_t *pid)
{
    size_t count;
    const struct hpp_label *labels = hpp_profile_labels(profile, index, &count);
    const char *process = NULL;

    *pid = -1;
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(hpp_profile_string(profile, labels[i].key), "process"))
            process = hpp_profile_string(profile, labels[i].str);
        if (!strcmp(hpp_profile_string(profile, labels[i].key), "pid"))
            *pid = labels[i].num;
    }
    return process;
}

static void test_labels(void **state)
{
    struct hpp_profile *all = merged(program(100, "/bin/first", "aa", 0x400000),
                                     program(200, "/bin/second one", "bb", 0x400000), true);
    int64_t pid;

    (void)state;
    assert_int_equal(all->sample_count, 6);
    assert_string_equal(process_of(all, 0, &pid), "first");
    assert_int_equal(pid, 100);
    assert_string_equal(process_of(all, 5, &pid), "second one");
    assert_int_equal(pid, 200);
    /* labels that are there stay as they are */
    all = merged(all, program(300, "/bin/third", "cc", 0), true);
    assert_string_equal(process_of(all, 0, &pid), "first");
    assert_string_equal(process_of(all, 8, &pid), "third");
    hpp_profile_free(all);
    all = merged(program(1, "/a", "aa", 0), program(2, "/b", "bb", 0), false);
    assert_null(process_of(all, 0, &pid));
    hpp_profile_free(all);
}

static void test_comments(void **state)
{
    struct hpp_profile *all = merged(program(1, "/a", "aa", 0x1000), program(2, "/b", "bb", 0x1000), true);
    char program_name[64];
    int64_t pid;

    (void)state;
    assert_int_equal(hpp_profile_count(all, "hpprof"), 1);
    assert_int_equal(hpp_profile_count(all, "hpprof.process"), 2);
    assert_int_equal(hpp_profile_count(all, "hpprof.end"), 2);
    assert_int_equal(hpp_profile_sum(all, "hpprof.lost", "dropped"), 8);
    assert_int_equal(hpp_profile_sum(all, "hpprof.lost", "stale"), 2);
    assert_false(hpp_profile_process(all, &pid, program_name, sizeof program_name));
    hpp_profile_free(all);
}

static void test_other_values(void **state)
{
    struct hpp_profile *all = hpp_profile_new(), *a = program(1, "/a", "aa", 0),
                       *b = program(2, "/b", "bb", 0);

    (void)state;
    b->value_count = 1;
    assert_int_equal(hpp_profile_merge(all, a, false), 0);
    assert_int_equal(hpp_profile_merge(all, b, false), -EINVAL);
    assert_int_equal(fixture_total(all, 0), 11);
    hpp_profile_free(a);
    hpp_profile_free(b);
    hpp_profile_free(all);
}

static void test_times(void **state)
{
    struct hpp_profile *a = program(1, "/a", "aa", 0), *b = program(2, "/b", "bb", 0), *all;

    (void)state;
    b->time_nanos = a->time_nanos + 500000000; /* overlap: 1.0 to 3.0 s and 1.5 to 3.5 s */
    all = merged(a, b, false);
    assert_int_equal(all->time_nanos, 1000000000);
    assert_int_equal(all->duration_nanos, 2500000000);
    hpp_profile_free(all);
    a = program(1, "/a", "aa", 0), b = program(2, "/b", "bb", 0);
    a->time_nanos = 100000000000;
    all = merged(a, b, false);
    assert_int_equal(all->time_nanos, 1000000000);
    assert_int_equal(all->duration_nanos, 4000000000);
    hpp_profile_free(all);
}

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/hpprof-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void test_written(void **state)
{
    static const char *const names[] = {"out.pb", "out.pb.gz"};
    struct hpp_profile *all =
                           merged(program(100, "/a", "aa", 0x1000), program(200, "/b", "bb", 0x1000), true),
                       *back;
    char path[128], error[HPP_ERROR_SIZE];
    struct stat status;

    (void)state;
    for (int i = 0; i < 2; i++) {
        unsigned char magic[2];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(hpp_profile_write(all, path, error), 0);
        assert_int_equal(hpp_profile_write(all, path, error), 0); /* over what is there */
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        FILE *file = fopen(path, "r");
        assert_int_equal(fread(magic, 1, 2, file), 2);
        fclose(file);
        assert_int_equal(magic[0] == 0x1f && magic[1] == 0x8b, i);
        assert_int_equal(hpp_profile_read(path, &back, error), 0);
        assert_int_equal(back->sample_count, all->sample_count);
        assert_int_equal(back->location_count, all->location_count);
        assert_int_equal(back->mapping_count, all->mapping_count);
        assert_int_equal(back->function_count, all->function_count);
        assert_int_equal(back->comment_count, all->comment_count);
        assert_int_equal(fixture_total(back, 1), fixture_total(all, 1));
        assert_memory_equal(back->locations, all->locations, all->location_count * sizeof *all->locations);
        assert_int_equal(back->period, all->period);
        assert_int_equal(back->time_nanos, all->time_nanos);
        assert_int_equal(back->duration_nanos, all->duration_nanos);
        hpp_profile_free(back);
        unlink(path);
    }
    hpp_profile_free(all);
}

/* What other readers insist on: string 0, ids from 1, values, UTF-8. */
static void test_valid_for_others(void **state)
{
    struct hpp_profile *profile =
        program(1, "/tmp/\xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80/\xc3\xa4", "aa", 0x1000);
    char path[128], error[HPP_ERROR_SIZE];
    uint8_t bytes[8192];
    Hpp__Pprof__Profile *message;

    (void)state;
    snprintf(path, sizeof path, "%s/out.pb", folder);
    assert_int_equal(hpp_profile_write(profile, path, error), 0);
    FILE *file = fopen(path, "r");
    message = hpp__pprof__profile__unpack(NULL, fread(bytes, 1, sizeof bytes, file), bytes);
    fclose(file);
    unlink(path);
    assert_non_null(message);
    assert_string_equal(message->string_table[0], "");
    for (size_t i = 0; i < message->n_mapping; i++)
        assert_int_equal(message->mapping[i]->id, i + 1);
    for (size_t i = 0; i < message->n_location; i++)
        assert_int_equal(message->location[i]->id, i + 1);
    for (size_t i = 0; i < message->n_function; i++)
        assert_int_equal(message->function[i]->id, i + 1);
    for (size_t i = 0; i < message->n_sample; i++)
        assert_int_equal(message->sample[i]->n_value, message->n_sample_type);
    assert_string_equal(message->string_table[message->mapping[0]->filename],
                        "/tmp/?\?(??\?\?\?\?\?/\xc3\xa4");
    hpp__pprof__profile__free_unpacked(message, NULL);
    hpp_profile_free(profile);
}

static void test_write_fails(void **state)
{
    struct hpp_profile *profile = program(1, "/a", "aa", 0x1000);
    char path[128], error[HPP_ERROR_SIZE];

    (void)state;
    snprintf(path, sizeof path, "%s/missing/out.pb", folder);
    assert_int_equal(hpp_profile_write(profile, path, error), -ENOENT);
    assert_non_null(strstr(error, path));
    assert_int_equal(hpp_profile_write(profile, "/dev/full", error), -ENOSPC);
    snprintf(path, sizeof path, "%s", folder);
    assert_true(hpp_profile_write(profile, path, error) < 0); /* and rmdir finds no leavings */
    hpp_profile_free(profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rebased),     cmocka_unit_test(test_images_differ),
        cmocka_unit_test(test_labels),      cmocka_unit_test(test_anon_keeps_its_process),
        cmocka_unit_test(test_comments),    cmocka_unit_test(test_other_values),
        cmocka_unit_test(test_times),       cmocka_unit_test(test_written),
        cmocka_unit_test(test_write_fails), cmocka_unit_test(test_valid_for_others),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
