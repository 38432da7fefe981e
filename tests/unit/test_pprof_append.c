/* Appended chunks are one valid profile, whatever happens between them. Decoded with protobuf-c. */
#include "profiler/pprof_append.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "profiler/ring.h"
#include "profiler/walk.h"
#include "proto/profile.pb-c.h"

enum { CODE = 0x10000, PERIOD = 10101010, STARTED = 1700000000 };

static const struct hpp_image image = {
    .kind = HPP_IMAGE_FILE, .path = "/bin/app", .build_id_size = 3, .build_id = {0x0a, 0xff, 0x10}};
static const struct hpp_image library = {.kind = HPP_IMAGE_FILE, .path = "/lib/caf\xc3\xa9\xff.so"};
static const struct hpp_segment segments[] = {
    {.image = &image,
     .start = CODE,
     .end = CODE * 2,
     .file_end = CODE * 2,
     .serial = 0,
     .file_offset = 0x1000},
    {.image = &library, .start = CODE * 2, .end = CODE * 3, .file_end = CODE * 3, .serial = 1}};

static struct hpp_aggregate aggregate;
static struct hpp_pprof_file file;
static struct hpp_code_map *map;
static char folder[] = "/tmp/hpprof-append-XXXXXX";
static uint64_t put; /* weight */
static time_t test_began;

static void know_segments(uint32_t count)
{
    map->count = map->serials = count;
    for (uint32_t i = 0; i < count; i++)
        map->ranges[i] = (struct hpp_code_range){segments[i].start, segments[i].end, &segments[i]};
    assert_int_equal(hpp_aggregate_segments(&aggregate, map), 0);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    map = malloc(sizeof *map + 2 * sizeof map->ranges[0]);
    hpp_aggregate_init(&aggregate);
    know_segments(1);
    file = (struct hpp_pprof_file){.fd = -1, .period = PERIOD, .started = STARTED};
    snprintf(file.path, sizeof file.path, "%s/app.pb", folder);
    put = 0;
    test_began = time(NULL);
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

static void add(int tid, const char *name, enum hpp_walk_end end, uint32_t weight, uint64_t leaf)
{
    uint64_t record[HPP_RECORD_WORDS + 2] = {HPP_RECORD(2, end, weight), 0, 0, leaf, CODE + 0x101};

    hpp_aggregate_add(&aggregate, map, record, tid, hpp_aggregate_string(&aggregate, name));
    put += weight;
}

static void add_many(unsigned count)
{
    static uint64_t leaf = CODE;

    for (unsigned i = 0; i < count; i++, leaf++)
        add(1, "main", HPP_WALK_ROOT, 1, leaf);
}

static uint64_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) ? 0 : (uint64_t)status.st_size;
}

static Hpp__Pprof__Profile *decode(void)
{
    uint64_t size = size_of(file.path);
    uint8_t *bytes = malloc(size + 1);
    int fd = open(file.path, O_RDONLY);
    Hpp__Pprof__Profile *profile;

    assert_int_equal(read(fd, bytes, size + 1), size);
    assert_int_equal(size, file.size);
    profile = hpp__pprof__profile__unpack(NULL, size, bytes);
    assert_non_null(profile);
    close(fd);
    free(bytes);
    return profile;
}

static const char *string(const Hpp__Pprof__Profile *profile, int64_t index)
{
    assert_in_range(index, 0, profile->n_string_table - 1);
    return profile->string_table[index];
}

static void check_sample(const Hpp__Pprof__Profile *profile, const Hpp__Pprof__Sample *sample)
{
    struct timespec now;

    assert_true(sample->n_location_id > 0);
    for (size_t i = 0; i < sample->n_location_id; i++)
        assert_in_range(sample->location_id[i], 1, profile->n_location);
    assert_int_equal(sample->n_value, 2);
    assert_int_equal(sample->value[1], sample->value[0] * PERIOD);
    assert_int_equal(sample->n_label, 3);
    assert_string_equal(string(profile, sample->label[0]->key), "thread");
    assert_true(*string(profile, sample->label[0]->str));
    assert_string_equal(string(profile, sample->label[1]->key), "tid");
    assert_int_not_equal(sample->label[1]->num, 0);
    assert_string_equal(string(profile, sample->label[2]->key), "time");
    assert_string_equal(string(profile, sample->label[2]->num_unit), "seconds");
    assert_int_equal(sample->label[2]->str, 0);
    clock_gettime(CLOCK_REALTIME, &now); /* time(2) is a tick behind it */
    assert_in_range(sample->label[2]->num, test_began, now.tv_sec);
}

/* What proto/FORMAT.md says of every file, and that it holds all weight put in. */
static void check_file(void)
{
    static const char *const names[] = {"[unfinished]", "[truncated]", "[short-lived]", "[signals blocked]",
                                        "[unsampled]"};
    Hpp__Pprof__Profile *profile = decode();
    uint64_t sum = 0;

    assert_string_equal(profile->string_table[0], "");
    for (size_t i = 0; i < profile->n_string_table; i++)
        for (size_t j = 0; j < i && profile->n_string_table < 200; j++)
            assert_string_not_equal(profile->string_table[i], profile->string_table[j]);
    assert_int_equal(profile->n_sample_type, 2);
    assert_string_equal(string(profile, profile->sample_type[0]->type), "samples");
    assert_string_equal(string(profile, profile->sample_type[0]->unit), "count");
    assert_string_equal(string(profile, profile->sample_type[1]->type), "cpu");
    assert_string_equal(string(profile, profile->sample_type[1]->unit), "nanoseconds");
    assert_string_equal(string(profile, profile->period_type->type), "cpu");
    assert_int_equal(profile->period, PERIOD);
    assert_int_equal(profile->time_nanos, STARTED);
    assert_true(profile->duration_nanos > 0);
    for (size_t i = 0; i < profile->n_mapping; i++) {
        assert_int_equal(profile->mapping[i]->id, i + 1);
        assert_true(*string(profile, profile->mapping[i]->filename));
        string(profile, profile->mapping[i]->build_id);
    }
    for (size_t i = 0; i < profile->n_location; i++) {
        const Hpp__Pprof__Location *location = profile->location[i];
        assert_int_equal(location->id, i + 1);
        assert_in_range(location->mapping_id, 0, profile->n_mapping);
        assert_int_equal(location->n_line, i < HPP_LOCATIONS_SPECIAL);
        if (i < HPP_LOCATIONS_SPECIAL)
            assert_string_equal(string(profile, profile->function[location->line[0]->function_id - 1]->name),
                                names[i]);
        if (location->mapping_id)
            assert_in_range(location->address, profile->mapping[location->mapping_id - 1]->memory_start,
                            profile->mapping[location->mapping_id - 1]->memory_limit - 1);
    }
    assert_int_equal(profile->n_function, HPP_LOCATIONS_SPECIAL);
    for (size_t i = 0; i < profile->n_sample; i++) {
        check_sample(profile, profile->sample[i]);
        sum += (uint64_t)profile->sample[i]->value[0];
    }
    for (size_t i = 0; i < profile->n_comment; i++)
        assert_true(*string(profile, profile->comment[i]));
    assert_int_equal(sum, put);
    assert_int_equal(file.samples, put);
    hpp__pprof__profile__free_unpacked(profile, NULL);
}

static void append(void)
{
    assert_int_equal(hpp_pprof_append(&file, &aggregate), 0);
    assert_int_equal(file.last_error, 0);
    assert_null(aggregate.first);
    check_file();
}

/* CPU time without a sample: exact in ns, rounded in samples, of no thread; equal ones are one row. */
static void test_booked(void **state)
{
    Hpp__Pprof__Profile *profile;

    (void)state;
    assert_int_equal(hpp_aggregate_book(&aggregate, map, HPP_LOCATION_SHORT_LIVED, CODE + 0x10, PERIOD), 0);
    assert_int_equal(hpp_aggregate_book(&aggregate, map, HPP_LOCATION_UNSAMPLED, 0, PERIOD / 3), 0);
    assert_int_equal(hpp_aggregate_book(&aggregate, map, HPP_LOCATION_SHORT_LIVED, CODE + 0x10, PERIOD / 2),
                     0);
    assert_int_equal(hpp_pprof_append(&file, &aggregate), 0);
    profile = decode();
    assert_int_equal(profile->n_sample, 2);
    assert_int_equal(profile->sample[0]->n_location_id, 2);
    assert_int_equal(profile->sample[0]->location_id[0], HPP_LOCATION_SHORT_LIVED);
    assert_int_equal(profile->location[profile->sample[0]->location_id[1] - 1]->address, CODE + 0x10);
    assert_int_equal(profile->location[profile->sample[0]->location_id[1] - 1]->mapping_id, 1);
    assert_int_equal(profile->sample[0]->value[0], (PERIOD + PERIOD / 2 + PERIOD / 2) / PERIOD);
    assert_int_equal(profile->sample[0]->value[1], PERIOD + PERIOD / 2);
    assert_int_equal(profile->sample[0]->n_label, 1);
    assert_string_equal(string(profile, profile->sample[0]->label[0]->key), "time");
    assert_int_equal(profile->sample[1]->n_location_id, 1);
    assert_int_equal(profile->sample[1]->location_id[0], HPP_LOCATION_UNSAMPLED);
    assert_int_equal(profile->sample[1]->value[0], 0);
    assert_int_equal(profile->sample[1]->value[1], PERIOD / 3);
    assert_int_equal(file.samples, 0);
    hpp__pprof__profile__free_unpacked(profile, NULL);
}

static void test_chunks(void **state)
{
    Hpp__Pprof__Profile *profile;
    uint64_t size;
    struct stat status;

    (void)state;
    hpp_pprof_comment(&file, &aggregate, "hpprof version=1");
    add(1, "main", HPP_WALK_ROOT, 3, CODE + 0x10);
    add(2, "worker", HPP_WALK_NOT_CODE, 1, CODE + 0x10);
    append();
    assert_int_equal(stat(file.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    size = file.size;
    append(); /* nothing new: a chunk all the same, and a small one */
    assert_in_range(file.size - size, 1, 40);
    add(1, "main", HPP_WALK_ROOT, 2, CODE + 0x10); /* the same stack in another chunk */
    add(3, "late", HPP_WALK_TRUNCATED, 70, CODE * 2 + 7);
    append();
    know_segments(2);
    add(3, "n\xc3", HPP_WALK_ROOT, 5, CODE * 2 + 7);
    hpp_pprof_comment(&file, &aggregate, "hpprof.end cause=exit");
    append();
    profile = decode();
    assert_int_equal(profile->n_sample, 5);
    assert_int_equal(profile->n_mapping, 2);
    assert_int_equal(profile->mapping[0]->file_offset, 0x1000);
    assert_string_equal(string(profile, profile->mapping[0]->filename), "/bin/app");
    assert_string_equal(string(profile, profile->mapping[0]->build_id), "0aff10");
    assert_string_equal(string(profile, profile->mapping[1]->filename), "/lib/caf\xc3\xa9?.so");
    assert_string_equal(string(profile, profile->mapping[1]->build_id), "");
    assert_int_equal(profile->n_comment, 2);
    assert_string_equal(string(profile, profile->comment[1]), "hpprof.end cause=exit");
    assert_string_equal(string(profile, profile->sample[4]->label[0]->str), "n?");
    hpp__pprof__profile__free_unpacked(profile, NULL);
}

static void test_many_chunks(void **state)
{
    (void)state;
    for (unsigned chunk = 0; chunk < 40; chunk++) {
        char comment[32];
        add_many(chunk * 13);
        snprintf(comment, sizeof comment, "hpprof.lost dropped=%u", chunk);
        hpp_pprof_comment(&file, &aggregate, comment);
        append();
    }
}

/* More comments than there is room for are left out, not written beyond it. */
static void test_comments(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HPP_COMMENTS_MAX + 10; i++)
        hpp_pprof_comment(&file, &aggregate, "hpprof.lost dropped=1");
    assert_int_equal(file.comment_count, HPP_COMMENTS_MAX);
    append();
}

/* ---- failures ------------------------------------------------------------------------------------------ */

static void fails(int error)
{
    uint64_t errors = file.write_errors, size = file.size;

    assert_int_equal(hpp_pprof_append(&file, &aggregate), error);
    assert_int_equal(file.last_error, error);
    assert_int_equal(file.write_errors, errors + 1);
    assert_int_equal(file.size, size);
}

static void limit_file_size(uint64_t size)
{
    struct rlimit limit;

    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    setrlimit(RLIMIT_FSIZE, &limit);
}

/* The chunk fits in part: cut back to the last whole one; nothing is lost when there is room again. */
static void test_short_write(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    add_many(100);
    append();
    for (uint64_t room = 0; room < 500; room += 7) {
        add_many(50);
        hpp_pprof_comment(&file, &aggregate, "hpprof.note text='x'");
        limit_file_size(file.size + room);
        fails(-EFBIG);
        assert_int_equal(size_of(file.path), file.size);
        add_many(1); /* more comes in between */
        fails(-EFBIG);
        assert_int_equal(size_of(file.path), file.size);
        limit_file_size(RLIM_INFINITY);
        append();
    }
}

/* Not even the first chunk fits: the head is written with the first that does. */
static void test_short_first_write(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    add_many(100);
    limit_file_size(100);
    fails(-EFBIG);
    fails(-EFBIG);
    assert_int_equal(size_of(file.path), 0);
    limit_file_size(RLIM_INFINITY);
    append();
}

static void test_full_device(void **state)
{
    int disk;

    (void)state;
    add_many(10);
    append();
    disk = file.fd;
    add_many(10);
    file.fd = open("/dev/full", O_WRONLY);
    fails(-ENOSPC);
    close(file.fd);
    file.fd = disk;
    append();
}

/* No memory to encode: an error like any other. */
static void test_no_memory(void **state)
{
    (void)state;
    add_many(20000);
    file.scratch.limit = 1 << 20;
    fails(-ENOMEM);
    assert_int_equal(file.fd, -1);
    file.scratch.limit = 0;
    append();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_booked),      TEST(test_chunks),      TEST(test_many_chunks),
        TEST(test_comments),    TEST(test_short_write), TEST(test_short_first_write),
        TEST(test_full_device), TEST(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
