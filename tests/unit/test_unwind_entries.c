/* Entries of .eh_frame and .debug_frame in every form, in any order, and such as lie. */
#include "unwind_file.h"

#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define START "CFA=rsp+8 fp=same ra=[CFA-8]"
#define DEEP  "CFA=rsp+64 fp=same ra=[CFA-8]"
#define NONE  "none"

static const uint8_t deep[] = {DW_CFA_def_cfa_offset, 64};

/* Finishes FILE and builds its table. */
static const struct hpp_unwind_table *build(struct unwind_file *file, struct hpp_unwind_build *result)
{
    const struct hpp_unwind_table *table;

    *result = (struct hpp_unwind_build){0};
    unwind_file_finish(file);
    unwind_file_build(file, file->bytes_size, result, &table);
    return table;
}

/* One description of 0x100 bytes at the start of the code whose common entry has these first bytes. */
static void check_cie(const char *bytes, size_t size, uint8_t encoding, int has_data, const char *rule)
{
    struct unwind_file file;
    struct hpp_unwind_build result;
    const struct hpp_unwind_table *table;
    size_t cie, entry;

    unwind_file_start(&file);
    cie = unwind_file_begin(&file, -1);
    unwind_file_add(&file, bytes, size);
    unwind_file_add(&file, "\x0c\x07\x08\x90\x01", 5);
    unwind_file_close(&file, cie);
    entry = unwind_file_begin(&file, (int64_t)cie);
    unwind_file_address(&file, UNWIND_TEXT, encoding);
    unwind_file_address(&file, 0x100, encoding & 0x0f);
    if (has_data)
        unwind_file_add(&file, "\x03\xff\xff\xff", 4);
    unwind_file_close(&file, entry);
    table = build(&file, &result);
    if (rule)
        unwind_assert_rule(table, UNWIND_TEXT + 0x80, rule);
    else
        assert_int_equal(result.skipped, 1);
    assert_int_equal(!table, !rule);
    hpp_unwind_free(table);
    unwind_file_end(&file);
}

#define CIE(text, encoding, has_data, rule) check_cie(text, sizeof text - 1, encoding, has_data, rule)

static void test_common_entries(void **state)
{
    (void)state;
    CIE("\1\0\1\x78\x10", DW_EH_PE_absptr, 0, START);
    CIE("\3\0\1\x78\x10", DW_EH_PE_absptr, 0, START);
    CIE("\3\0\1\x78\x90\0", DW_EH_PE_absptr, 0, START);
    CIE("\4\0\x08\0\1\x78\x10", DW_EH_PE_absptr, 0, START);
    CIE("\1zR\0\1\x78\x10\1\x1b", 0x1b, 1, START);
    CIE("\1zRB\0\1\x78\x10\1\x1b", 0x1b, 1, START);
    CIE("\1z\0\1\x78\x10\0", DW_EH_PE_absptr, 1, START);
    CIE("\1zPLR\0\1\x78\x10\x07\x9b\1\2\3\4\x1b\x1b", 0x1b, 1, START);
    CIE("\1zPLR\0\1\x78\x10\x03\xff\xff\x1b", 0x1b, 1, START);
    CIE("\1zPR\0\1\x78\x10\x0a\0\1\2\3\4\5\6\7\x08\x1b", 0x1b, 1, START);
    CIE("\1zR\0\1\x78\x10\4\x1b\0\0\0", 0x1b, 1, START); /* more data than letters */
    /* and such as are not understood */
    CIE("\2\0\1\x78\x10", DW_EH_PE_absptr, 0, NULL);
    CIE("\5\0\1\x78\x10", DW_EH_PE_absptr, 0, NULL);
    CIE("\4\0\4\0\1\x78\x10", DW_EH_PE_absptr, 0, NULL);
    CIE("\4\0\x08\4\1\x78\x10", DW_EH_PE_absptr, 0, NULL);
    CIE("\1zXR\0\1\x78\x10\1\x1b", 0x1b, 1, NULL);
    CIE("\1eh\0\1\2\3\4\5\6\7\x08\1\x78\x10", DW_EH_PE_absptr, 0, NULL);
    CIE("\1\0\1\x78\x06", DW_EH_PE_absptr, 0, NULL); /* the return address in another column */
    CIE("\1zR\0\1\x78\x10\0", 0x1b, 1, NULL);        /* less data than letters */
    CIE("\1zR\0\1\x78\x10\x7f\x1b", 0x1b, 1, NULL);  /* more than the entry */
    CIE("\1zPR\0\1\x78\x10\2\x0d\x1b", 0x1b, 1, NULL);
    CIE("\1zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", 0x1b, 1, NULL);
    CIE("\1zR\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\1\x78\x10\1\x1b", 0x1b, 1, NULL);
}

static void test_encodings(void **state)
{
    static const uint8_t formats[] = {DW_EH_PE_absptr,  DW_EH_PE_uleb128, DW_EH_PE_udata4, DW_EH_PE_udata8,
                                      DW_EH_PE_sleb128, DW_EH_PE_sdata4,  DW_EH_PE_sdata8};
    static const uint8_t refused[] = {DW_EH_PE_textrel,
                                      DW_EH_PE_datarel,
                                      DW_EH_PE_aligned,
                                      DW_EH_PE_indirect,
                                      0x60,
                                      0x05,
                                      0x0f,
                                      DW_EH_PE_pcrel | DW_EH_PE_indirect};
    char text[] = "\1zR\0\1\x78\x10\1\0";

    (void)state;
    for (size_t i = 0; i < sizeof formats; i++)
        for (unsigned relative = 0; relative <= DW_EH_PE_pcrel; relative += DW_EH_PE_pcrel) {
            text[8] = (char)(formats[i] | relative);
            check_cie(text, sizeof text - 1, formats[i] | (uint8_t)relative, 1, START);
        }
    for (size_t i = 0; i < sizeof refused; i++) {
        text[8] = (char)refused[i];
        check_cie(text, sizeof text - 1, refused[i], 1, NULL);
    }
}

/* Lengths of 64 bits; the identifier keeps its 32 (LSB Core, 10.6.1.1). */
static void test_64bit_length(void **state)
{
    struct unwind_file file;
    struct hpp_unwind_build result;
    const struct hpp_unwind_table *table;
    uint64_t length = 4 + 14 + 2, at;

    (void)state;
    unwind_file_start(&file);
    unwind_file_u32(&file, UINT32_MAX);
    unwind_file_add(&file, &length, sizeof length);
    unwind_file_u32(&file, 0);
    unwind_file_add(&file, "\1zR\0\1\x78\x10\1\x1b\x0c\x07\x08\x90\x01\0\0", 16);
    length = 4 + 8 + 1 + 3;
    unwind_file_u32(&file, UINT32_MAX);
    unwind_file_add(&file, &length, sizeof length);
    unwind_file_u32(&file, (uint32_t)file.size);
    unwind_file_address(&file, UNWIND_TEXT, 0x1b);
    unwind_file_address(&file, 0x100, 0x0b);
    unwind_file_add(&file, "\0\x0e\x40\0", 4);
    at = file.size;
    table = build(&file, &result);
    unwind_assert_rule(table, UNWIND_TEXT, DEEP);
    assert_int_equal(result.frame_bytes, at + 20);
    hpp_unwind_free(table);
    unwind_file_end(&file);
}

/* Padding has the rule before it, holes have none. Entries come in any order; of two for one address that
 * which begins first counts, then that which stands first. */
static void test_layout(void **state)
{
    static const struct {
        unsigned at, size;
        int is_deep;
    } entries[] = {{0x500, 0x100, 1}, {0x100, 0xf1, 0},   {0x200, 0x10, 1},  {0x300, 0x80, 0},
                   {0x340, 0x80, 1},  {0x350, 0x10, 0},   {0x500, 0x80, 0},  {0x220, 0x10, 1},
                   {0x700, 0, 0},     {0x20000, 0x10, 0}, {0xfff0, 0x20, 0}, {0x800, 0x10, 1},
                   {0x81f, 0x11, 1}};
    static const struct {
        unsigned from, to;
        const char *rule;
    } rules[] = {{0, 0x100, NONE},     {0x100, 0x200, START},  {0x200, 0x210, DEEP},  {0x210, 0x220, NONE},
                 {0x220, 0x230, DEEP}, {0x230, 0x300, NONE},   {0x300, 0x380, START}, {0x380, 0x3c0, DEEP},
                 {0x3c0, 0x500, NONE}, {0x500, 0x600, DEEP},   {0x600, 0x800, NONE},  {0x800, 0x830, DEEP},
                 {0x830, 0x900, NONE}, {0xfff0, 0x10000, NONE}};
    struct unwind_file file;
    struct hpp_unwind_build result;
    const struct hpp_unwind_table *table;
    size_t cie;

    (void)state;
    unwind_file_start(&file);
    cie = unwind_file_cie(&file, "zR", NULL, 0);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        unwind_file_description(&file, cie, entries[i].at, entries[i].size, deep,
                                entries[i].is_deep ? sizeof deep : 0);
    table = build(&file, &result);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        for (unsigned at = rules[i].from; at < rules[i].to; at++)
            unwind_assert_rule(table, UNWIND_TEXT + at, rules[i].rule);
    hpp_unwind_free(table);
    unwind_file_end(&file);
}

/* Many entries, last first, over 16 MiB. */
static void test_order(void **state)
{
    enum { COUNT = 20000, APART = 0x340 };
    struct unwind_file file;
    struct hpp_unwind_build result;
    const struct hpp_unwind_table *table;
    size_t cie;

    (void)state;
    unwind_file_start(&file);
    file.text_size = COUNT * APART;
    cie = unwind_file_cie(&file, "zR", NULL, 0);
    for (unsigned i = COUNT; i--;)
        unwind_file_description(&file, cie, (uint64_t)i * APART, APART - 0x20, deep, i % 3 ? sizeof deep : 0);
    table = build(&file, &result);
    assert_int_equal(result.entries, COUNT);
    assert_int_equal(table->rows, 2 * COUNT);
    assert_in_range(table->pages, 1, table->rows / 8);
    for (unsigned i = 0; i < COUNT; i++) {
        unwind_assert_rule(table, UNWIND_TEXT + (uint64_t)i * APART, i % 3 ? DEEP : START);
        unwind_assert_rule(table, UNWIND_TEXT + (uint64_t)i * APART + APART - 0x21, i % 3 ? DEEP : START);
        unwind_assert_rule(table, UNWIND_TEXT + (uint64_t)i * APART + APART - 0x20, NONE);
    }
    hpp_unwind_free(table);
    unwind_file_end(&file);
}

/* More different rules than a row can name: those beyond have none. */
static void test_too_many_rules(void **state)
{
    enum { COUNT = 70000 };
    struct unwind_file file;
    struct hpp_unwind_build result;
    const struct hpp_unwind_table *table;
    uint8_t *program = malloc(5 * COUNT), *at = program;

    (void)state;
    assert_non_null(program);
    for (unsigned i = 0; i < COUNT; i++) {
        uint8_t step[5] = {DW_CFA_def_cfa_offset, (uint8_t)(i | 0x80), (uint8_t)(i >> 7 | 0x80),
                           (uint8_t)(i >> 14), DW_CFA_advance_loc | 1};
        memcpy(at, step, sizeof step);
        at += sizeof step;
    }
    unwind_file_start(&file);
    file.text_size = 0x20000;
    unwind_file_description(&file, unwind_file_cie(&file, "zR", NULL, 0), 0, COUNT, program, 5 * COUNT);
    table = build(&file, &result);
    assert_int_equal(table->rules, HPP_UNWIND_RULES_MAX);
    assert_int_equal(result.skipped, 1);
    unwind_assert_rule(table, UNWIND_TEXT + 8, START);
    unwind_assert_rule(table, UNWIND_TEXT + 65534, "CFA=rsp+65534 fp=same ra=[CFA-8]");
    unwind_assert_rule(table, UNWIND_TEXT + 65535, NONE);
    hpp_unwind_free(table);
    free(program);
    unwind_file_end(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_common_entries), cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_64bit_length),   cmocka_unit_test(test_layout),
        cmocka_unit_test(test_order),          cmocka_unit_test(test_too_many_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
