/* A profile that is aggregated anew when it becomes too large: bounded, whole, and with the same sum. */
#include "profiler/pprof_append.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "profiler/ring.h"
#include "profiler/walk.h"
#define hpp_location hpp_read_location /* writer and reader have one each */
#include "symbolizer/profile.h"

enum { CODE = 0x10000, PERIOD = 1000000, STARTED = 1700000011, MAX = 64 << 10 };

static const struct hpp_image image = {.kind = HPP_IMAGE_FILE, .path = "/bin/app"};
static const struct hpp_segment segment = {
    .image = &image, .start = CODE, .end = CODE * 1000ull, .file_end = CODE * 1000ull};

static struct hpp_aggregate aggregate;
static struct hpp_pprof_file file;
static struct hpp_code_map *map;
static char folder[] = "/tmp/hpprof-again-XXXXXX";
static uint64_t put; /* weight */
static unsigned between;

static void count_between(void)
{
    between++;
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    map = calloc(1, sizeof *map + sizeof map->ranges[0]);
    map->count = map->serials = 1;
    map->ranges[0] = (struct hpp_code_range){segment.start, segment.end, &segment};
    hpp_aggregate_init(&aggregate);
    assert_int_equal(hpp_aggregate_segments(&aggregate, map), 0);
    file = (struct hpp_pprof_file){
        .fd = -1, .period = PERIOD, .started = STARTED * 1000000000ull, .max = MAX, .between = count_between};
    snprintf(file.path, sizeof file.path, "%s/app.pb", folder);
    put = between = 0;
    return 0;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    hpp_arena_release(&aggregate.arena);
    hpp_arena_release(&aggregate.stack_arena);
    hpp_arena_release(&aggregate.before_arena);
    hpp_arena_release(&file.scratch);
    if (file.fd >= 0)
        close(file.fd);
    free(map);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* A sample of thread TID: a leaf called by 20 others that FROM tells apart. */
static void add(int tid, uint64_t leaf, uint64_t from, uint32_t weight)
{
    uint64_t record[HPP_RECORD_WORDS + 21] = {HPP_RECORD(21, HPP_WALK_ROOT, weight)};

    for (unsigned i = 0; i < 20; i++)
        record[HPP_RECORD_WORDS + 1 + i] = CODE + 0x1001 + (from + i) % 64 * 16;
    record[HPP_RECORD_WORDS] = CODE + leaf * 16;
    hpp_aggregate_add(&aggregate, map, record, tid, hpp_aggregate_string(&aggregate, "main"));
    put += weight;
}

static void append_at(uint64_t second)
{
    aggregate.begun = (STARTED + second) * 1000000000ull;
    assert_int_equal(hpp_pprof_append(&file, &aggregate), 0);
}

static struct hpp_profile *read_profile(const char *path)
{
    char error[HPP_ERROR_SIZE];
    struct hpp_profile *profile;
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, file.size);
    if (hpp_profile_read(path, &profile, error))
        fail_msg("%s", error);
    assert_int_equal(profile->torn_bytes, 0);
    return profile;
}

/* The number of LABEL of a sample, or -1. */
static int64_t label_of(const struct hpp_profile *profile, size_t sample, const char *label)
{
    size_t count;
    const struct hpp_label *labels = hpp_profile_labels(profile, sample, &count);

    for (size_t i = 0; i < count; i++)
        if (!strcmp(hpp_profile_string(profile, labels[i].key), label))
            return labels[i].num;
    return -1;
}

static const char *comment_of(const struct hpp_profile *profile, const char *word)
{
    const char *last = "";

    for (size_t i = 0; i < profile->comment_count; i++)
        if (hpp_comment_is(hpp_profile_comment(profile, i), word))
            last = hpp_profile_comment(profile, i);
    return last;
}

/* The file as a reader sees it: all weight is there. */
static struct hpp_profile *check_file(void)
{
    struct hpp_profile *profile = read_profile(file.path);
    uint64_t sum = 0, ns = 0;

    for (size_t i = 0; i < profile->sample_count; i++) {
        sum += (uint64_t)profile->values[2 * i];
        ns += (uint64_t)profile->values[2 * i + 1];
    }
    assert_int_equal(sum, put);
    assert_int_equal(ns, put * PERIOD);
    assert_int_equal(file.samples, put);
    assert_int_equal(profile->time_nanos, STARTED * 1000000000ll);
    return profile;
}

/* The same stacks for an hour: the file never exceeds its bound, times become multiples of a minute. */
static void test_time_gets_coarser(void **state)
{
    struct hpp_profile *profile;
    unsigned rewritten = 0;

    (void)state;
    for (unsigned second = 0; second < 3600; second++) {
        for (unsigned i = 0; i < 8; i++)
            add(1, i, i, 1 + second % 3);
        append_at(second);
        assert_in_range(file.size, 1, MAX);
        rewritten += file.not_before != 0;
    }
    assert_true(rewritten > 0);
    assert_true(between > 0);
    profile = check_file();
    assert_true(hpp_profile_count(profile, "hpprof.aggregated") > 0);
    for (size_t i = 0; i < profile->sample_count; i++) {
        assert_int_equal(label_of(profile, i, "tid"), 1);
        assert_in_range(label_of(profile, i, "time"), STARTED - STARTED % 3600, STARTED + 3600);
    }
    hpp_profile_free(profile);
}

/* A first time: only times, and to the minute. */
static void test_first_time(void **state)
{
    struct hpp_profile *profile;
    char without[64];
    size_t coarse = 0;

    (void)state;
    for (unsigned second = 0; !file.not_before; second++) {
        for (unsigned i = 0; i < 8; i++)
            add((int)(1 + i % 2), i, i, 1);
        append_at(second);
    }
    profile = check_file();
    assert_int_equal(hpp_profile_count(profile, "hpprof.aggregated"), 1);
    assert_int_equal(hpp_comment_number(comment_of(profile, "hpprof.aggregated"), "seconds"), 60);
    assert_false(
        hpp_comment_text(comment_of(profile, "hpprof.aggregated"), "without", without, sizeof without));
    for (size_t i = 0; i < profile->sample_count; i++) {
        size_t depth;
        hpp_profile_stack(profile, i, &depth);
        assert_int_equal(depth, 21);
        assert_in_range(label_of(profile, i, "tid"), 1, 2);
        coarse += label_of(profile, i, "time") % 60 == 0;
    }
    assert_true(coarse + 8 >= profile->sample_count); /* all but those of the last chunk */
    hpp_profile_free(profile);
}

/* Ever new threads: their ids go, the sum and the stacks stay. */
static void test_many_threads(void **state)
{
    struct hpp_profile *profile;
    char without[64];

    (void)state;
    for (unsigned second = 0; second < 2000; second++) {
        for (unsigned i = 0; i < 8; i++)
            add((int)(1000 + 8 * second + i), i, i, 1);
        append_at(second);
        assert_in_range(file.size, 1, MAX);
    }
    profile = check_file();
    assert_true(
        hpp_comment_text(comment_of(profile, "hpprof.aggregated"), "without", without, sizeof without));
    assert_string_equal(without, "tid");
    hpp_profile_free(profile);
}

/* Ever new stacks: at last only where the time was spent is kept, and that there were callers. */
static void test_many_stacks(void **state)
{
    struct hpp_profile *profile;
    char without[64];
    size_t cut = 0;

    (void)state;
    for (unsigned second = 0; second < 300; second++) {
        for (unsigned i = 0; i < 64; i++)
            add(1, i * (second % 5), i + second % 64, 1);
        append_at(second);
        assert_in_range(file.size, 1, 2 * MAX);
    }
    profile = check_file();
    assert_true(
        hpp_comment_text(comment_of(profile, "hpprof.aggregated"), "without", without, sizeof without));
    assert_string_equal(without, "tid,callers");
    for (size_t i = 0; i < profile->sample_count; i++) {
        size_t depth;
        const uint32_t *stack = hpp_profile_stack(profile, i, &depth);
        const struct hpp_location *root = &profile->locations[stack[depth - 1]];
        cut += depth == 2 && root->mapping == HPP_NONE && root->line_count == 1;
    }
    assert_true(cut > 0);
    hpp_profile_free(profile);
}

/* Addresses alone are more than the bound: it gives way rather than samples. */
static void test_bound_gives_way(void **state)
{
    (void)state;
    for (unsigned second = 0; second < 40; second++) {
        for (unsigned i = 0; i < 500; i++)
            add(1, 1000 * second + i, 0, 1);
        append_at(second);
    }
    assert_true(file.size > MAX);
    hpp_profile_free(check_file());
}

/* The lock stays with the file, and nothing is left beside it. */
static void test_in_place(void **state)
{
    char command[96];
    int fd;

    (void)state;
    file.locked = 1;
    for (unsigned second = 0; !file.not_before; second++) {
        for (unsigned i = 0; i < 8; i++)
            add(1, i, i, 1);
        append_at(second);
    }
    fd = open(file.path, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
    close(fd);
    snprintf(command, sizeof command, "test \"$(ls -A %s)\" = app.pb", folder);
    assert_int_equal(system(command), 0);
    hpp_profile_free(check_file());
}

/* Someone moved the file, and put another in its place: that one stays as it is. */
static void test_moved(void **state)
{
    char moved[64], command[160];
    struct hpp_profile *profile;

    (void)state;
    add(1, 1, 1, 1);
    append_at(0);
    snprintf(moved, sizeof moved, "%s/moved.pb", folder);
    snprintf(command, sizeof command, "cd %s && mv app.pb moved.pb && echo other > app.pb", folder);
    assert_int_equal(system(command), 0);
    for (unsigned second = 1; second < 200; second++) {
        for (unsigned i = 0; i < 8; i++)
            add(1, i, i, 1);
        append_at(second);
    }
    assert_true(file.size > MAX);
    snprintf(command, sizeof command,
             "cd %s && test \"$(cat app.pb)\" = other && test \"$(ls -A | wc -l)\" = 2", folder);
    assert_int_equal(system(command), 0);
    profile = read_profile(moved);
    hpp_profile_free(profile);
}

/* The file, then its folder too, is removed: made again with all it held, when it can be. */
static void test_removed(void **state)
{
    (void)state;
    for (unsigned second = 0; second < 5; second++) {
        add(1, second, 1, 3);
        append_at(second);
    }
    assert_int_equal(unlink(file.path), 0);
    add(1, 9, 9, 1);
    append_at(6);
    hpp_profile_free(check_file());
    assert_int_equal(unlink(file.path), 0);
    assert_int_equal(rmdir(folder), 0);
    add(1, 9, 9, 1);
    assert_int_equal(hpp_pprof_append(&file, &aggregate), -ENOENT);
    assert_int_equal(file.write_errors, 1);
    assert_int_equal(mkdir(folder, 0700), 0);
    append_at(8);
    hpp_profile_free(check_file());
}

/* What is in the file is not ours any more: nothing is made of it, the bound gives way. */
static void test_overwritten(void **state)
{
    (void)state;
    add(1, 1, 1, 1);
    append_at(0);
    assert_int_equal(pwrite(file.fd, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, 0), 12);
    for (unsigned second = 1; second < 200; second++) {
        for (unsigned i = 0; i < 8; i++)
            add(1, i, i, 1);
        append_at(second);
    }
    assert_true(file.size > MAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_time_gets_coarser), TEST(test_first_time), TEST(test_many_threads), TEST(test_many_stacks),
        TEST(test_bound_gives_way),   TEST(test_in_place),   TEST(test_moved),        TEST(test_removed),
        TEST(test_overwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
