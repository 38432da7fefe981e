/* Tables that are damaged are refused; those that are whole answer as the rows say. */
#include "unwind_file.h"

#include <dwarf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { FUNCTIONS = 60 };

/* A table with rules and pages enough; a copy to be freed. */
static struct hpp_unwind_table *make_table(void)
{
    static const uint8_t program[] = {DW_CFA_advance_loc | 1,
                                      DW_CFA_def_cfa_offset,
                                      16,
                                      DW_CFA_offset | 6,
                                      2,
                                      DW_CFA_advance_loc | 3,
                                      DW_CFA_register,
                                      6,
                                      3};
    struct unwind_file file;
    struct hpp_unwind_build build = {0};
    const struct hpp_unwind_table *table;
    struct hpp_unwind_table *copy;
    size_t cie;

    unwind_file_start(&file);
    cie = unwind_file_cie(&file, "zR", NULL, 0);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        unwind_file_description(&file, cie, 0x40 * i, 0x30, program, sizeof program);
    unwind_file_finish(&file);
    assert_int_equal(unwind_file_build(&file, file.bytes_size, &build, &table), 0);
    unwind_file_end(&file);
    copy = malloc(table->size);
    assert_non_null(copy);
    memcpy(copy, table, table->size);
    hpp_unwind_free(table);
    assert_int_equal(copy->rows, 4 * FUNCTIONS);
    assert_int_equal(copy->rules, 4);
    assert_in_range(copy->pages, 2, FUNCTIONS);
    return copy;
}

/* TABLE with its SIZE bytes at AT changed to those of VALUE is refused, the checksum right or wrong. */
static void refuse(struct hpp_unwind_table *table, void *at, const void *value, size_t size)
{
    uint8_t before[32];
    uint64_t whole = table->size, checksum = table->checksum;

    memcpy(before, at, size);
    memcpy(at, value, size);
    assert_false(hpp_unwind_is_valid(table, whole));
    if (table->size == whole && table->checksum == checksum) {
        table->checksum = hpp_unwind_checksum(table);
        assert_false(hpp_unwind_is_valid(table, whole));
    }
    memcpy(at, before, size);
    table->checksum = checksum;
    assert_true(hpp_unwind_is_valid(table, whole));
}

#define REFUSE(field, number)                                                  \
    do {                                                                       \
        __typeof__(table->field) changed = (__typeof__(table->field))(number); \
        refuse(table, &table->field, &changed, sizeof changed);                \
    } while (0)

static void test_header(void **state)
{
    struct hpp_unwind_table *table = make_table();

    (void)state;
    assert_true(hpp_unwind_is_valid(table, table->size));
    for (uint64_t size = 0; size < table->size; size += size < 100 ? 1 : 16)
        assert_false(hpp_unwind_is_valid(table, size));
    REFUSE(magic, table->magic + 1);
    REFUSE(magic, 0);
    REFUSE(size, table->size + 4);
    REFUSE(size, 0);
    REFUSE(checksum, table->checksum ^ 1);
    REFUSE(base, table->base + 1);
    REFUSE(base, ~0ull << table->shift);
    REFUSE(pages, 0);
    REFUSE(pages, table->pages + 1);
    REFUSE(pages, UINT32_MAX);
    REFUSE(rows, 0);
    REFUSE(rows, table->rows - 1);
    REFUSE(rows, UINT32_MAX);
    REFUSE(rules, 0);
    REFUSE(rules, table->rules + 1);
    REFUSE(rules, HPP_UNWIND_RULES_MAX + 1);
    REFUSE(shift, HPP_UNWIND_SHIFT_MAX + 1);
    REFUSE(shift, 0);
    REFUSE(build_id_size, HPP_BUILD_ID_MAX + 1);
    REFUSE(reserved[1], 1);
    free(table);
}

static void test_contents(void **state)
{
    struct hpp_unwind_table *table = make_table();
    uint32_t *bases = (uint32_t *)hpp_unwind_bases(table), *rows = (uint32_t *)hpp_unwind_rows(table);
    uint16_t *starts = (uint16_t *)hpp_unwind_starts(table), start;
    uint32_t page = table->pages / 2, value;

    (void)state;
    REFUSE(rule[0].cfa, HPP_CFA_SP);
    REFUSE(rule[1].cfa, HPP_CFA_INDEXED + 1);
    REFUSE(rule[1].base, 17);
    REFUSE(rule[2].fp, HPP_SAVED_LOST + 1);
    REFUSE(rule[2].ra, HPP_SAVED_LOST + 1);
    assert_int_equal(table->rule[3].fp, HPP_SAVED_REGISTER);
    REFUSE(rule[3].fp_offset, 17);
    REFUSE(rule[3].fp_offset, -1);
    value = 1;
    refuse(table, &bases[0], &value, sizeof value);
    value = UINT32_MAX;
    refuse(table, &bases[0], &value, sizeof value);
    start = (uint16_t)(starts[table->pages] + 1);
    refuse(table, &starts[table->pages], &start, sizeof start);
    start -= 2;
    refuse(table, &starts[table->pages], &start, sizeof start);
    start = UINT16_MAX;
    refuse(table, &starts[page], &start, sizeof start);
    start = (uint16_t)(starts[page + 1] + 1);
    refuse(table, &starts[page], &start, sizeof start);
    value = rows[5] | 0xffff; /* a rule that is not there */
    refuse(table, &rows[5], &value, sizeof value);
    value = 0xffff0000; /* an offset behind the page */
    refuse(table, &rows[5], &value, sizeof value);
    value = rows[hpp_unwind_first(table, page)]; /* twice the same address */
    refuse(table, &rows[hpp_unwind_first(table, page) + 1], &value, sizeof value);
    free(table);
}

/* A changed bit anywhere behind the checksum changes it. */
static void test_checksum(void **state)
{
    struct hpp_unwind_table *table = make_table();
    uint8_t *bytes = (uint8_t *)table;

    (void)state;
    for (uint64_t at = offsetof(struct hpp_unwind_table, base); at < table->size; at++) {
        bytes[at] ^= (uint8_t)(1 << at % 8);
        assert_int_not_equal(hpp_unwind_checksum(table), table->checksum);
        bytes[at] ^= (uint8_t)(1 << at % 8);
    }
    free(table);
}

static void test_look_up(void **state)
{
    static const char *const rules[] = {"CFA=rsp+8 fp=same ra=[CFA-8]", "CFA=rsp+16 fp=[CFA-16] ra=[CFA-8]",
                                        "CFA=rsp+16 fp=rbx ra=[CFA-8]", "none"};
    struct hpp_unwind_table *table = make_table();

    (void)state;
    for (unsigned i = 0; i < FUNCTIONS; i++)
        for (unsigned j = 0; j < 0x40; j++)
            unwind_assert_rule(table, UNWIND_TEXT + 0x40 * i + j,
                               rules[j < 1      ? 0
                                     : j < 4    ? 1
                                     : j < 0x30 ? 2
                                                : 3]);
    unwind_assert_rule(table, UNWIND_TEXT - 1, "none");
    unwind_assert_rule(table, UNWIND_TEXT + 0x40 * FUNCTIONS, "none");
    unwind_assert_rule(table, 0, "none");
    unwind_assert_rule(table, UINT64_MAX, "none");
    free(table);
}

/* Damage that a right checksum hides: what is still intact cannot be read past its end. */
static void test_damaged(void **state)
{
    struct hpp_unwind_table *table = make_table(), *copy = malloc(table->size);
    uint64_t seed = 1, size = table->size;
    unsigned intact = 0;

    (void)state;
    assert_non_null(copy);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t at;
        memcpy(copy, table, size);
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        at = offsetof(struct hpp_unwind_table, base) +
             (seed >> 33) % (size - offsetof(struct hpp_unwind_table, base));
        ((uint8_t *)copy)[at] ^= (uint8_t)(1u << (seed >> 60 & 7));
        copy->checksum = hpp_unwind_checksum(copy);
        if (!hpp_unwind_is_intact(copy, size))
            continue;
        intact++;
        for (uint64_t address = UNWIND_TEXT - 1; address < UNWIND_TEXT + 0x40 * FUNCTIONS; address += 0x15)
            assert_in_range(hpp_unwind_find(copy, address) - copy->rule, 0, copy->rules - 1);
    }
    assert_in_range(intact, 1, 20000 - 1);
    free(copy);
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),  cmocka_unit_test(test_contents), cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_look_up), cmocka_unit_test(test_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
