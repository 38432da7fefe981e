/* The fuzz target over its seeds, and some thousand mutations of them, always the same. */
#include "tests/fuzz/fuzz_unwind_build.c"

#include "unwind_file.h"
#include "unwind_seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { MUTATIONS = 2500 };

static uint32_t draw(uint32_t below)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

static void test_seeds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < UNWIND_SEEDS; i++) {
        size_t size, frame, frame_size;
        uint8_t *bytes = unwind_seed(i, &size, &frame, &frame_size);
        struct unwind_file file = {.bytes = bytes, .has_sections = 1};
        struct hpp_unwind_build build = {0};
        const struct hpp_unwind_table *table;

        assert_int_equal(unwind_file_build(&file, size, &build, &table), 0);
        assert_in_range(table->rows, 5, 100000);
        assert_in_range(build.entries, 8, 10000);
        hpp_unwind_free(table);
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
}

static void test_mutations(void **state)
{
    static const uint8_t notable[] = {0, 1, 0x7f, 0x80, 0xff};

    (void)state;
    for (unsigned i = 0; i < UNWIND_SEEDS; i++) {
        size_t size, frame, frame_size;
        uint8_t *bytes = unwind_seed(i, &size, &frame, &frame_size), *copy = malloc(size);

        assert_non_null(copy);
        for (unsigned j = 0; j < MUTATIONS; j++) {
            memcpy(copy, bytes, size);
            for (uint32_t count = 1 + draw(4); count; count--) {
                size_t at = draw(4) ? frame + draw((uint32_t)frame_size) : draw((uint32_t)size);
                switch (draw(3)) {
                case 0:
                    copy[at] ^= (uint8_t)(1u << draw(8));
                    break;
                case 1:
                    copy[at] = notable[draw(sizeof notable)];
                    break;
                default:
                    copy[at] = (uint8_t)draw(256);
                }
            }
            LLVMFuzzerTestOneInput(copy, size);
        }
        free(copy);
        free(bytes);
    }
}

/* Cut at every byte. */
static void test_truncated(void **state)
{
    (void)state;
    for (unsigned i = 0; i < UNWIND_SEEDS - 1; i++) {
        size_t size, frame, frame_size;
        uint8_t *bytes = unwind_seed(i, &size, &frame, &frame_size);

        for (size_t part = 0; part < size; part++)
            LLVMFuzzerTestOneInput(bytes, part);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_truncated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
