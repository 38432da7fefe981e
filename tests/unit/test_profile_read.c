/* Reading profiles: whole, packed, torn at every byte, and hostile ones. */
#include "tests/unit/fixture.h"
#include "symbolizer/flamegraph.h"
#include "symbolizer/perf_map.h"
#include "symbolizer/report.h"
#include "symbolizer/symbolize.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

static void program(struct fixture *fixture)
{
    fixture_program(fixture, 100, "/nowhere/app", "abcd", 0x400000);
}

static void test_whole(void **state)
{
    struct fixture fixture;
    struct hpp_profile *profile;
    size_t depth, count;
    const uint32_t *stack;
    const struct hpp_label *labels;

    (void)state;
    program(&fixture);
    profile = fixture_profile(&fixture);
    assert_int_equal(profile->torn_bytes, 0);
    assert_int_equal(profile->value_count, 2);
    assert_int_equal(fixture_total(profile, 0), 11);
    assert_int_equal(fixture_total(profile, 1), 11 * FIXTURE_PERIOD);
    assert_int_equal(profile->sample_count, 3); /* the same stack in two chunks is one sample */
    assert_int_equal(profile->values[0], 5);
    assert_int_equal(profile->duration_nanos, 2000000000);
    stack = hpp_profile_stack(profile, 0, &depth);
    assert_int_equal(depth, 2);
    assert_int_equal(profile->locations[stack[0]].address, 0x400010);
    labels = hpp_profile_labels(profile, 0, &count);
    assert_int_equal(count, 2);
    assert_string_equal(hpp_profile_string(profile, labels[0].str), "main");
    assert_int_equal(labels[1].num, 100);
    assert_int_equal(hpp_profile_sum(profile, "hpprof.lost", "dropped"), 4);
    hpp_profile_free(profile);
    fixture_free(&fixture);
}

/* For each length: nothing before the end of the first chunk, afterwards at least all whole chunks. */
static void test_torn_everywhere(void **state)
{
    struct fixture fixture;

    (void)state;
    program(&fixture);
    for (size_t size = 0; size <= fixture.size; size++) {
        struct hpp_profile *profile = NULL;
        char error[HPP_ERROR_SIZE] = "";
        uint8_t *copy = malloc(size + 1); /* its own size, so that a sanitizer sees reads beyond */
        int result;
        memcpy(copy, fixture.bytes, size);
        copy = realloc(copy, size ? size : 1);
        result = hpp_profile_parse(copy, size, "FILE", &profile, error);
        free(copy);
        if (size == 0) {
            assert_int_equal(result, -ENODATA);
            continue;
        }
        if (result) {
            assert_true(size < fixture.ends[0]);
            assert_non_null(strstr(error, "FILE"));
            continue;
        }
        assert_true(profile->torn_bytes < size);
        if (size >= fixture.ends[0])
            assert_true(fixture_total(profile, 0) >= 4);
        if (size == fixture.ends[0] || size == fixture.ends[1])
            assert_int_equal(profile->torn_bytes, 0);
        hpp_profile_free(profile);
    }
    fixture_free(&fixture);
}

static void test_torn_by_one(void **state)
{
    struct fixture fixture;
    struct hpp_profile *profile;
    char error[HPP_ERROR_SIZE];

    (void)state;
    program(&fixture);
    /* one byte into the second chunk, and in the middle of it, where its location is not yet there */
    for (size_t more = 1; more < 30; more += 28) {
        assert_int_equal(hpp_profile_parse(fixture.bytes, fixture.ends[0] + more, "FILE", &profile, error),
                         0);
        assert_in_range(profile->torn_bytes, 1, more);
        assert_in_range(fixture_total(profile, 0), 4, 6);
        hpp_profile_free(profile);
    }
    /* zeros, as a machine that died leaves them */
    uint8_t *padded = calloc(1, fixture.size + 100);
    memcpy(padded, fixture.bytes, fixture.size);
    assert_int_equal(hpp_profile_parse(padded, fixture.size + 100, "FILE", &profile, error), 0);
    assert_int_equal(profile->torn_bytes, 100);
    assert_int_equal(fixture_total(profile, 0), 11);
    hpp_profile_free(profile);
    free(padded);
    fixture_free(&fixture);
}

static void write_file(const char *path, const struct fixture *fixture, int members)
{
    gzFile file = gzopen(path, "wb");

    assert_int_equal(gzwrite(file, fixture->bytes, (unsigned)fixture->ends[0]), (int)fixture->ends[0]);
    if (members == 2) {
        gzclose(file);
        file = gzopen(path, "ab");
    }
    assert_true(
        gzwrite(file, fixture->bytes + fixture->ends[0], (unsigned)(fixture->size - fixture->ends[0])) > 0);
    gzclose(file);
}

static void test_gzip(void **state)
{
    struct fixture fixture;
    struct hpp_profile *profile;
    char path[] = "/tmp/hpprof-test-XXXXXX", error[HPP_ERROR_SIZE];
    int descriptor = mkstemp(path);

    (void)state;
    close(descriptor);
    program(&fixture);
    for (int members = 1; members <= 2; members++) {
        write_file(path, &fixture, members);
        assert_int_equal(hpp_profile_read(path, &profile, error), 0);
        assert_int_equal(fixture_total(profile, 0), 11);
        assert_int_equal(profile->torn_bytes, 0);
        hpp_profile_free(profile);
    }
    write_file(path, &fixture, 1);
    assert_int_equal(truncate(path, 200), 0);
    if (!hpp_profile_read(path, &profile, error)) {
        assert_true(profile->torn_bytes > 0);
        hpp_profile_free(profile);
    }
    unlink(path);
    fixture_free(&fixture);
}

static void test_no_profile(void **state)
{
    static const char *const texts[] = {"root:x:0:0:root:/root:/bin/bash\n", "\177ELF\2\1\1", "{\"a\": 1}",
                                        "\n", "#!/bin/sh\necho\n"};
    struct hpp_profile *profile;
    char error[HPP_ERROR_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_true(hpp_profile_parse(texts[i], strlen(texts[i]), "FILE", &profile, error) < 0);
        assert_non_null(strstr(error, "FILE"));
        assert_null(strchr(error, '\n'));
    }
    assert_int_equal(hpp_profile_read("/nonexistent/x.pb", &profile, error), -ENOENT);
    assert_string_equal(error, "cannot read /nonexistent/x.pb: No such file or directory");
    assert_int_equal(hpp_profile_read("/tmp", &profile, error), -EISDIR);
}

/* Every reference that leads nowhere, one at a time, in a file that ends where a chunk ends. */
static void test_bad_references(void **state)
{
    (void)state;
    for (int kind = 0; kind < 9; kind++) {
        struct fixture fixture;
        struct hpp_profile *profile;
        char error[HPP_ERROR_SIZE];
        uint64_t mapping, location;
        fixture_begin(&fixture);
        mapping = fixture_mapping(&fixture, 0x1000, 0x1000, 0, "/x", "aa");
        location = fixture_named(&fixture, mapping, 0x1010, "f");
        fixture_sample(&fixture, 1, "t", 1, 1, &location);
        switch (kind) {
        case 0:
            fixture.chunk.sample[0]->location_id[0] = 77;
            break;
        case 1:
            fixture.chunk.location[0]->mapping_id = 77;
            break;
        case 2:
            fixture.chunk.location[0]->line[0]->function_id = 77;
            break;
        case 3:
            fixture.chunk.mapping[0]->filename = 77;
            break;
        case 4:
            fixture.chunk.function[0]->name = -1;
            break;
        case 5:
            fixture.chunk.sample[0]->label[0]->str = INT64_MAX;
            break;
        case 6:
            fixture.chunk.sample[0]->n_value = 1;
            break;
        case 7:
            fixture.chunk.location[0]->id = 0;
            break;
        case 8:
            fixture.chunk.sample_type[1]->type = 1 << 30;
            break;
        }
        fixture_end_chunk(&fixture);
        assert_int_equal(hpp_profile_parse(fixture.bytes, fixture.size, "FILE", &profile, error), -EBADMSG);
        assert_non_null(strstr(error, "FILE is not a profile"));
        fixture_free(&fixture);
    }
}

/* Two complete profiles one after the other are no chunks of one: their ids collide. */
static void test_concatenated(void **state)
{
    struct fixture fixture;
    struct hpp_profile *profile;
    char error[HPP_ERROR_SIZE];
    uint8_t *twice;

    (void)state;
    program(&fixture);
    twice = malloc(2 * fixture.size);
    memcpy(twice, fixture.bytes, fixture.size);
    memcpy(twice + fixture.size, fixture.bytes, fixture.size);
    assert_int_equal(hpp_profile_parse(twice, 2 * fixture.size, "FILE", &profile, error), -EBADMSG);
    assert_non_null(strstr(error, "hpprof merge"));
    free(twice);
    fixture_free(&fixture);
}

/* Whatever could be read must pass through every output. */
static void use(struct hpp_profile *profile)
{
    FILE *null = fopen("/dev/null", "w");
    struct hpp_report_style style = {.path = "x", .what = "function", .columns = 80, .show_image = true};
    struct hpp_profile *merged = hpp_profile_new();
    struct hpp_report report;
    struct hpp_flame flame;
    char error[HPP_ERROR_SIZE];

    hpp_profile_merge(merged, profile, true);
    hpp_profile_merge(merged, profile, false);
    hpp_profile_free(merged);
    hpp_perf_map_print(null, profile, NULL);
    hpp_symbolize(profile, true, NULL);
    for (int by = HPP_BY_FUNCTION; by <= HPP_BY_PROCESS; by++)
        if (!hpp_report_make(&report, profile, (enum hpp_report_by)by, HPP_SORT_FLAT)) {
            hpp_report_print_text(null, &report, profile, &style);
            hpp_report_print_json(null, &report, profile, "x", "function", "flat", 0);
            hpp_report_free(&report);
        }
    if (!hpp_flame_make(&flame, profile)) {
        hpp_flame_print_folded(null, &flame);
        hpp_flame_print_svg(null, &flame, "x");
    }
    hpp_flame_free(&flame);
    assert_int_equal(hpp_profile_write(profile, "/dev/null", error), 0);
    fclose(null);
}

static void test_mutations(void **state)
{
    struct fixture fixture;
    uint32_t random = 12345;

    (void)state;
    program(&fixture);
    for (size_t i = 0; i < fixture.size * 12; i++) {
        uint8_t *copy = malloc(fixture.size);
        struct hpp_profile *profile;
        char error[HPP_ERROR_SIZE];
        static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        memcpy(copy, fixture.bytes, fixture.size);
        if (i < fixture.size * 5) {
            copy[i / 5] = values[i % 5];
        } else {
            for (int j = 0; j < 4; j++) {
                random = random * 1664525u + 1013904223u;
                copy[(random >> 8) % fixture.size] = (uint8_t)(random >> 3);
            }
        }
        if (!hpp_profile_parse(copy, fixture.size, "FILE", &profile, error)) {
            use(profile);
            hpp_profile_free(profile);
        }
        free(copy);
    }
    fixture_free(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),        cmocka_unit_test(test_torn_everywhere),
        cmocka_unit_test(test_torn_by_one),  cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_no_profile),   cmocka_unit_test(test_bad_references),
        cmocka_unit_test(test_concatenated), cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
