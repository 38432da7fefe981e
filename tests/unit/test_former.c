/* Former profiles (HPPROF_REMAP_HOT): what they say, and that anything may stand in them. */
#include "preload/remap/former.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/fixture.h"

#define BUILD_ID "00112233445566778899aabbccddeeff00112233"

static int fd;
static char path[64];
static struct hpp_former former;

static int setup(void **state)
{
    (void)state;
    fd = memfd_create("former", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    hpp_arena_release(&former.arena);
    return close(fd);
}

/* Reads these bytes; what it says is consistent, whatever they are. */
static const char *read_bytes(const void *bytes, size_t size)
{
    uint64_t weight = 0;
    const char *reason;

    hpp_arena_release(&former.arena);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, bytes, size, 0), size);
    reason = hpp_former_read(path, &former);
    if (reason) {
        assert_int_equal(former.image_count, 0);
        assert_int_equal(former.place_count, 0);
        return reason;
    }
    for (uint32_t i = 0; i < former.place_count; i++) {
        assert_true(former.places[i].image <= former.image_count);
        assert_true(!former.places[i].weight || former.places[i].image);
        weight += former.places[i].weight;
    }
    assert_true(weight > 0 && weight <= former.weight);
    return NULL;
}

/* The weight at OFFSET of the image with this build-id. */
static uint64_t weight_at(const char *build_id, uint64_t offset)
{
    uint64_t weight = 0;

    for (uint32_t i = 0; i < former.place_count; i++) {
        const struct hpp_former_place *place = &former.places[i];
        char text[2 * HPP_BUILD_ID_MAX + 1] = "";
        if (!place->weight || place->offset != offset)
            continue;
        for (unsigned j = 0; j < former.images[place->image - 1].build_id_size; j++)
            sprintf(text + 2 * j, "%02x", former.images[place->image - 1].build_id[j]);
        weight += strcmp(text, build_id) ? 0 : place->weight;
    }
    return weight;
}

static void test_weights(void **state)
{
    struct fixture fixture;
    uint64_t one, two, there, no_id;

    (void)state;
    fixture_begin(&fixture);
    no_id =
        fixture_location(&fixture, fixture_mapping(&fixture, 0x10000, 0x1000, 0, "/bin/none", ""), 0x10000);
    one = fixture_mapping(&fixture, 0x400000, 0x10000, 0x1000, "/bin/app", BUILD_ID);
    two = fixture_mapping(&fixture, 0x7f0000000000, 0x10000, 0, "/lib/two", "abcdef");
    there = fixture_location(&fixture, two, 0x7f0000000123);
    one = fixture_location(&fixture, one, 0x400010);
    fixture_sample(&fixture, 3, "main", 7, 2, (uint64_t[]){one, there});
    fixture_sample(&fixture, 4, "main", 7, 1, (uint64_t[]){there});
    fixture_end_chunk(&fixture);
    fixture_sample(&fixture, 5, "main", 7, 1, (uint64_t[]){one});
    fixture_sample(&fixture, 100, "main", 7, 2, (uint64_t[]){no_id, one});
    fixture_end_chunk(&fixture);
    assert_null(read_bytes(fixture.bytes, fixture.size));
    assert_int_equal(weight_at(BUILD_ID, 0x1010), 8);
    assert_int_equal(weight_at("abcdef", 0x123), 4);
    assert_int_equal(former.weight, 112); /* shares are of all samples */
    /* what no file has is no file's */
    assert_int_equal(weight_at(BUILD_ID, 0), 0);
    assert_int_equal(weight_at("abcdef", 0), 0);
    fixture_free(&fixture);
}

static void test_of_no_use(void **state)
{
    struct fixture fixture;
    uint64_t only;

    (void)state;
    assert_non_null(read_bytes("", 0));
    assert_non_null(read_bytes("x", 1));
    assert_string_equal(read_bytes("\x1f\x8b\x08\0\0\0\0\0", 8), "it is compressed");
    /* samples, but of nothing that could be known again */
    fixture_begin(&fixture);
    only = fixture_location(&fixture, fixture_mapping(&fixture, 0x10000, 0x1000, 0, "//anon", ""), 0x10000);
    fixture_sample(&fixture, 3, "main", 7, 1, &only);
    fixture_end_chunk(&fixture);
    assert_non_null(read_bytes(fixture.bytes, fixture.size));
    fixture_free(&fixture);
    /* images, but no samples */
    fixture_begin(&fixture);
    fixture_location(&fixture, fixture_mapping(&fixture, 0x10000, 0x1000, 0, "/bin/app", BUILD_ID), 0x10000);
    fixture_end_chunk(&fixture);
    assert_non_null(read_bytes(fixture.bytes, fixture.size));
    fixture_free(&fixture);
}

static void test_no_files(void **state)
{
    char fifo[64];

    (void)state;
    assert_int_equal(ftruncate(fd, (64 << 20) + 1), 0);
    assert_string_equal(hpp_former_read(path, &former), "it is larger than 64 MiB");
    assert_string_equal(hpp_former_read("/nonexistent", &former), "it cannot be opened");
    assert_string_equal(hpp_former_read("/dev/zero", &former), "it is no profile");
    assert_string_equal(hpp_former_read("/", &former), "it is no profile");
    snprintf(fifo, sizeof fifo, "/tmp/hpprof-former-%d", getpid());
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_string_equal(hpp_former_read(fifo, &former),
                        "it is no profile"); /* and does not wait for a writer */
    unlink(fifo);
}

/* Every truncation, and every byte changed. */
static void test_mutations(void **state)
{
    static const uint8_t bits[] = {0x01, 0x80, 0xff};
    struct fixture fixture;
    unsigned refused = 0, read = 0;

    (void)state;
    fixture_program(&fixture, 7, "/bin/app", BUILD_ID, 0x400000);
    assert_null(read_bytes(fixture.bytes, fixture.size));
    for (size_t size = 0; size < fixture.size; size++)
        read_bytes(fixture.bytes, size) ? refused++ : read++;
    for (size_t at = 0; at < fixture.size; at++)
        for (size_t i = 0; i < sizeof bits; i++) {
            fixture.bytes[at] ^= bits[i];
            read_bytes(fixture.bytes, fixture.size) ? refused++ : read++;
            fixture.bytes[at] ^= bits[i];
        }
    assert_true(refused && read);
    fixture_free(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_no_use, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mutations, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
