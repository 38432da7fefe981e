/* Every instruction and expression of call-frame information, one by one: the rules that come of it. */
#include "unwind_file.h"

#include <dwarf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { AT = 0x100, CODE = 0x1000, RULES = 8, PROGRAM = 160 };

#define BYTES(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})
#define START      "CFA=rsp+8 fp=same ra=[CFA-8]"
#define PUSHED     "CFA=rsp+16 fp=[CFA-16] ra=[CFA-8]"
#define NONE       "none"
#define PLT(N)                                                                                            \
    DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit##N, \
        DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus
#define STEP DW_CFA_advance_loc | 1
/* CFA = *(rsp + 8 + r9 * WORD) ... */
#define INDEXED(SIZE, WORD) \
    DW_CFA_def_cfa_expression, SIZE, DW_OP_breg7, 8, DW_OP_breg9, 0, WORD, DW_OP_mul, DW_OP_plus, DW_OP_deref

/* A program, and the rules from some offsets of the code on. The first is at its start. */
struct sample {
    const char *name;
    uint8_t program[PROGRAM];
    size_t size;
    struct {
        unsigned at;
        const char *rule;
    } rules[RULES];
};

static const struct sample samples[] = {
    {"advance_loc",
     BYTES(DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2),
     {{0, START}, {4, PUSHED}}},
    {"advance by 0",
     BYTES(DW_CFA_advance_loc, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2),
     {{0, PUSHED}}},
    {"advance_loc1, 2, 4, 8",
     BYTES(DW_CFA_advance_loc1, 0x40, DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc2, 0, 1,
           DW_CFA_def_cfa_offset, 24, DW_CFA_advance_loc4, 0, 2, 0, 0, DW_CFA_def_cfa_offset, 32,
           DW_CFA_MIPS_advance_loc8, 0, 4, 0, 0, 0, 0, 0, 0, DW_CFA_def_cfa_offset, 40),
     {{0, START},
      {0x40, "CFA=rsp+16 fp=same ra=[CFA-8]"},
      {0x140, "CFA=rsp+24 fp=same ra=[CFA-8]"},
      {0x340, "CFA=rsp+32 fp=same ra=[CFA-8]"},
      {0x740, "CFA=rsp+40 fp=same ra=[CFA-8]"}}},
    {"advance behind the end",
     BYTES(DW_CFA_advance_loc2, 0, 0x20, DW_CFA_def_cfa_offset, 16),
     {{0, START}, {CODE - 1, START}}},
    {"advance by all",
     BYTES(DW_CFA_MIPS_advance_loc8, 255, 255, 255, 255, 255, 255, 255, 255, DW_CFA_def_cfa_offset, 16),
     {{0, START}, {CODE - 1, START}}},
    {"def_cfa", BYTES(STEP, DW_CFA_def_cfa, 6, 16), {{0, START}, {1, "CFA=rbp+16 fp=same ra=[CFA-8]"}}},
    {"def_cfa_sf",
     BYTES(STEP, DW_CFA_def_cfa_sf, 6, 0x7e),
     {{0, START}, {1, "CFA=rbp+16 fp=same ra=[CFA-8]"}}},
    {"def_cfa_register",
     BYTES(STEP, DW_CFA_def_cfa_register, 10),
     {{0, START}, {1, "CFA=r10+8 fp=same ra=[CFA-8]"}}},
    {"def_cfa_offset_sf",
     BYTES(STEP, DW_CFA_def_cfa_offset_sf, 0x7c),
     {{0, START}, {1, "CFA=rsp+32 fp=same ra=[CFA-8]"}}},
    {"offset_extended",
     BYTES(STEP, DW_CFA_offset_extended, 6, 3),
     {{0, START}, {1, "CFA=rsp+8 fp=[CFA-24] ra=[CFA-8]"}}},
    {"offset_extended_sf",
     BYTES(STEP, DW_CFA_offset_extended_sf, 6, 0x7f),
     {{0, START}, {1, "CFA=rsp+8 fp=[CFA+8] ra=[CFA-8]"}}},
    {"negative_offset",
     BYTES(STEP, DW_CFA_GNU_negative_offset_extended, 6, 1),
     {{0, START}, {1, "CFA=rsp+8 fp=[CFA+8] ra=[CFA-8]"}}},
    {"restore",
     BYTES(DW_CFA_offset | 6, 2, DW_CFA_offset | 16, 2, STEP, DW_CFA_restore | 6, DW_CFA_restore | 16),
     {{0, "CFA=rsp+8 fp=[CFA-16] ra=[CFA-16]"}, {1, START}}},
    {"restore_extended",
     BYTES(DW_CFA_offset | 6, 2, STEP, DW_CFA_restore_extended, 6),
     {{0, "CFA=rsp+8 fp=[CFA-16] ra=[CFA-8]"}, {1, START}}},
    {"undefined fp", BYTES(STEP, DW_CFA_undefined, 6), {{0, START}, {1, "CFA=rsp+8 fp=lost ra=[CFA-8]"}}},
    {"same_value",
     BYTES(DW_CFA_offset | 6, 2, STEP, DW_CFA_same_value, 6),
     {{0, "CFA=rsp+8 fp=[CFA-16] ra=[CFA-8]"}, {1, START}}},
    {"end of stack", BYTES(STEP, DW_CFA_undefined, 16), {{0, START}, {1, "end of stack"}}},
    {"end of stack without CFA",
     BYTES(DW_CFA_def_cfa_expression, 1, DW_OP_lit0, DW_CFA_undefined, 16),
     {{0, "end of stack"}}},
    {"vfork: return address in rdi",
     BYTES(STEP, DW_CFA_def_cfa_offset, 0, DW_CFA_register, 16, 5),
     {{0, START}, {1, "CFA=rsp+0 fp=same ra=rdi"}}},
    {"register fp", BYTES(STEP, DW_CFA_register, 6, 9), {{0, START}, {1, "CFA=rsp+8 fp=r9 ra=[CFA-8]"}}},
    {"register that is not kept",
     BYTES(STEP, DW_CFA_register, 6, 17, STEP, DW_CFA_register, 16, 17),
     {{0, START}, {1, "CFA=rsp+8 fp=lost ra=[CFA-8]"}, {2, NONE}}},
    {"remember and restore, the CFA too",
     BYTES(DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2, DW_CFA_remember_state, STEP, DW_CFA_def_cfa, 6,
           24, DW_CFA_remember_state, STEP, DW_CFA_same_value, 6, DW_CFA_def_cfa, 7, 8, STEP,
           DW_CFA_restore_state, STEP, DW_CFA_restore_state),
     {{0, PUSHED},
      {1, "CFA=rbp+24 fp=[CFA-16] ra=[CFA-8]"},
      {2, START},
      {3, "CFA=rbp+24 fp=[CFA-16] ra=[CFA-8]"},
      {4, PUSHED}}},
    {"restore_state without a state", BYTES(STEP, DW_CFA_restore_state), {{0, START}, {1, NONE}}},
    {"realigned stack of gcc",
     BYTES(STEP, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref, DW_CFA_expression, 6, 2,
           DW_OP_breg6, 0),
     {{0, START}, {1, "CFA=[rbp-8]+0 fp=[rbp+0] ra=[CFA-8]"}}},
    {"OpenSSL's saved stack pointer",
     BYTES(STEP, DW_CFA_def_cfa_expression, 5, DW_OP_breg7, 40, DW_OP_deref, DW_OP_plus_uconst, 8),
     {{0, START}, {1, "CFA=[rsp+40]+8 fp=same ra=[CFA-8]"}}},
    {"OpenSSL's saved stack pointer behind a number",
     BYTES(STEP, INDEXED(10, DW_OP_lit8), DW_OP_plus_uconst, 8, STEP, INDEXED(8, DW_OP_lit8)),
     {{0, START},
      {1, "CFA=[rsp+8+r9*8]+8 fp=same ra=[CFA-8]"},
      {2, "CFA=[rsp+8+r9*8]+0 fp=same ra=[CFA-8]"}}},
    {"indexed expressions that have no rule",
     BYTES(INDEXED(8, DW_OP_lit4), STEP, INDEXED(9, DW_OP_lit8), DW_OP_deref, STEP, INDEXED(10, DW_OP_lit8),
           DW_OP_minus, 8, STEP, DW_CFA_def_cfa_expression, 8, DW_OP_breg3, 8, DW_OP_breg9, 0, DW_OP_lit8,
           DW_OP_mul, DW_OP_plus, DW_OP_deref, STEP, DW_CFA_def_cfa_expression, 8, DW_OP_breg7, 8,
           DW_OP_breg9, 8, DW_OP_lit8, DW_OP_mul, DW_OP_plus, DW_OP_deref, STEP, DW_CFA_def_cfa_expression, 8,
           DW_OP_breg7, 8, DW_OP_breg31, 0, DW_OP_lit8, DW_OP_mul, DW_OP_plus, DW_OP_deref, STEP,
           DW_CFA_def_cfa_expression, 7, DW_OP_breg7, 8, DW_OP_breg9, 0, DW_OP_lit8, DW_OP_mul, DW_OP_plus,
           STEP, DW_CFA_def_cfa, 7, 8),
     {{0, NONE}, {1, NONE}, {2, NONE}, {3, NONE}, {4, NONE}, {5, NONE}, {6, NONE}, {7, START}}},
    {"CFA as an expression of one register",
     BYTES(STEP, DW_CFA_def_cfa_expression, 2, DW_OP_breg7, 40),
     {{0, START}, {1, "CFA=rsp+40 fp=same ra=[CFA-8]"}}},
    {"procedure linkage table",
     BYTES(DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc | 6, DW_CFA_def_cfa_offset, 24,
           DW_CFA_advance_loc | 10, PLT(11)),
     {{0, "CFA=rsp+16 fp=same ra=[CFA-8]"},
      {6, "CFA=rsp+24 fp=same ra=[CFA-8]"},
      {16, "CFA=rsp+8+8*((pc&15)>=11) fp=same ra=[CFA-8]"}}},
    {"procedure linkage table that pushes early",
     BYTES(PLT(5)),
     {{0, "CFA=rsp+8+8*((pc&15)>=5) fp=same ra=[CFA-8]"}}},
    {"expressions that have no rule",
     BYTES(DW_CFA_remember_state, DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 8, DW_OP_deref, DW_OP_deref,
           STEP, DW_CFA_restore_state, DW_CFA_remember_state, STEP, DW_CFA_def_cfa_expression, 0, STEP,
           DW_CFA_restore_state, STEP, DW_CFA_expression, 16, 2, DW_OP_breg3, 0),
     {{0, NONE}, {1, START}, {2, NONE}, {3, START}, {4, NONE}}},
    {"an offset to a CFA that is an expression",
     BYTES(DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref, STEP, DW_CFA_def_cfa_offset, 8),
     {{0, "CFA=[rbp-8]+0 fp=same ra=[CFA-8]"}, {1, NONE}}},
    {"expression fp",
     BYTES(DW_CFA_expression, 6, 2, DW_OP_breg7, 16, STEP, DW_CFA_expression, 6, 2, DW_OP_breg3, 16, STEP,
           DW_CFA_expression, 6, 3, DW_OP_breg7, 16, DW_OP_deref),
     {{0, "CFA=rsp+8 fp=[rsp+16] ra=[CFA-8]"},
      {1, "CFA=rsp+8 fp=lost ra=[CFA-8]"},
      {2, "CFA=rsp+8 fp=lost ra=[CFA-8]"}}},
    {"val_offset",
     BYTES(DW_CFA_val_offset, 7, 0, STEP, DW_CFA_val_offset, 6, 2, STEP, DW_CFA_val_offset_sf, 7, 1),
     {{0, START}, {1, "CFA=rsp+8 fp=lost ra=[CFA-8]"}, {2, NONE}}},
    {"val_expression",
     BYTES(DW_CFA_val_expression, 6, 2, DW_OP_breg7, 0, STEP, DW_CFA_val_expression, 7, 2, DW_OP_breg7, 0),
     {{0, "CFA=rsp+8 fp=lost ra=[CFA-8]"}, {1, NONE}}},
    {"longjmp: stack pointer in a register", BYTES(STEP, DW_CFA_register, 7, 8), {{0, START}, {1, NONE}}},
    {"return address nowhere", BYTES(STEP, DW_CFA_same_value, 16), {{0, START}, {1, NONE}}},
    {"GNU_args_size",
     BYTES(STEP, DW_CFA_GNU_args_size, 0x80, 1, DW_CFA_def_cfa_offset, 16),
     {{0, START}, {1, "CFA=rsp+16 fp=same ra=[CFA-8]"}}},
    {"GNU_window_save is not this processor's",
     BYTES(STEP, DW_CFA_GNU_window_save, STEP, DW_CFA_def_cfa_offset, 16),
     {{0, START}, {1, NONE}, {2, NONE}}},
    {"unknown instruction",
     BYTES(DW_CFA_def_cfa_offset, 16, STEP, 0x3f),
     {{0, "CFA=rsp+16 fp=same ra=[CFA-8]"}, {1, NONE}}},
    {"registers that do not matter",
     BYTES(DW_CFA_offset | 3, 2, DW_CFA_offset_extended, 0xff, 0xff, 0x7f, 2, DW_CFA_undefined, 63,
           DW_CFA_restore | 12),
     {{0, START}}},
    {"CFA of a register that is not kept",
     BYTES(DW_CFA_def_cfa, 17, 8, STEP, DW_CFA_def_cfa, 0x87, 2, 8, STEP, DW_CFA_def_cfa_register, 7),
     {{0, NONE}, {1, NONE}, {2, START}}},
    {"offsets beyond 32 bits",
     BYTES(DW_CFA_def_cfa_offset, 0xff, 0xff, 0xff, 0xff, 0x0f, STEP, DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 6,
           0xff, 0xff, 0xff, 0xff, 0x0f),
     {{0, NONE}, {1, "CFA=rsp+8 fp=lost ra=[CFA-8]"}}},
    {"offsets beyond 64 bits",
     BYTES(DW_CFA_offset_extended_sf, 6, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
     {{0, "CFA=rsp+8 fp=lost ra=[CFA-8]"}}},
    {"a return address too far from the CFA",
     BYTES(STEP, DW_CFA_offset | 16, 0x81, 0x20),
     {{0, START}, {1, NONE}}},
};

/* The file with one description, of CODE bytes at UNWIND_TEXT + AT. */
static const struct hpp_unwind_table *build_one(struct unwind_file *file, const char *letters,
                                                const uint8_t *program, size_t size)
{
    struct hpp_unwind_build build = {0};
    const struct hpp_unwind_table *table;
    size_t cie = unwind_file_cie(file, letters, NULL, 0);

    unwind_file_description(file, cie, AT, CODE, program, size);
    unwind_file_finish(file);
    if (unwind_file_build(file, file->bytes_size, &build, &table)) {
        assert_string_equal(build.reason, "its unwind information says nothing about its code");
        return NULL;
    }
    assert_int_equal(build.entries, 1);
    return table;
}

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const struct sample *sample = &samples[i];
        const struct hpp_unwind_table *table;
        struct unwind_file file;

        unwind_file_start(&file);
        table = build_one(&file, "zR", sample->program, sample->size);
        if (!table)
            fail_msg("%s: no table", sample->name);
        unwind_assert_rule(table, UNWIND_TEXT + AT - 1, NONE);
        unwind_assert_rule(table, UNWIND_TEXT + AT + CODE, NONE);
        for (unsigned j = 0; j < RULES && sample->rules[j].rule; j++) {
            uint64_t at = UNWIND_TEXT + AT + sample->rules[j].at;
            unwind_assert_rule(table, at, sample->rules[j].rule);
            if (j)
                unwind_assert_rule(table, at - 1, sample->rules[j - 1].rule);
        }
        hpp_unwind_free(table);
        unwind_file_end(&file);
    }
}

/* glibc's __restore_rt. */
static void test_signal_frame(void **state)
{
    static const uint8_t program[] = {
        DW_CFA_def_cfa_expression, 4,  DW_OP_breg7, 0xa0,        1,    DW_OP_deref,
        DW_CFA_expression,         6,  3,           DW_OP_breg7, 0xf8, 0,
        DW_CFA_expression,         7,  3,           DW_OP_breg7, 0xa0, 1,
        DW_CFA_expression,         16, 3,           DW_OP_breg7, 0xa8, 1};
    static const char rule[] = "CFA=[rsp+160] (signal) fp=[rsp+120] ra=[rsp+168]";
    uint8_t changed[sizeof program];
    struct unwind_file file;

    (void)state;
    /* Without the mark, and with each part missing or different: no rule. */
    for (size_t at = 0; at <= sizeof program; at++) {
        const struct hpp_unwind_table *table;
        memcpy(changed, program, sizeof program);
        if (at < sizeof program)
            changed[at] ^= 2;
        unwind_file_start(&file);
        table = build_one(&file, "zRS", changed, sizeof changed);
        if (at == sizeof program)
            unwind_assert_rule(table, UNWIND_TEXT + AT, rule);
        else if (table)
            assert_int_not_equal(hpp_unwind_find(table, UNWIND_TEXT + AT)->cfa, HPP_CFA_SP);
        hpp_unwind_free(table);
        unwind_file_end(&file);
    }
    unwind_file_start(&file);
    assert_null(build_one(&file, "zR", program, sizeof program));
    unwind_file_end(&file);
    /* A usual frame that is marked: its caller was interrupted, which usual rules cannot say. */
    unwind_file_start(&file);
    assert_null(build_one(&file, "zRS", NULL, 0));
    unwind_file_end(&file);
}

static void test_set_loc(void **state)
{
    static const unsigned targets[] = {AT + 0x10, AT + 0x10, AT + 0x20, AT + 0x18, AT + 0x30};
    struct unwind_file file;
    const struct hpp_unwind_table *table;
    uint8_t program[sizeof targets / sizeof targets[0] * 11];
    size_t size = 0;

    (void)state;
    unwind_file_start(&file);
    file.encoding = DW_EH_PE_absptr;
    for (unsigned i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        uint64_t address = UNWIND_TEXT + targets[i];
        program[size++] = DW_CFA_set_loc;
        memcpy(program + size, &address, sizeof address);
        size += sizeof address;
        program[size++] = DW_CFA_def_cfa_offset;
        program[size++] = (uint8_t)(16 + 8 * i);
    }
    table = build_one(&file, "zR", program, size);
    unwind_assert_rule(table, UNWIND_TEXT + AT, START);
    unwind_assert_rule(table, UNWIND_TEXT + AT + 0x10, "CFA=rsp+24 fp=same ra=[CFA-8]");
    /* The third goes on; the fourth goes back, and what it means cannot be told. */
    unwind_assert_rule(table, UNWIND_TEXT + AT + 0x1f, "CFA=rsp+24 fp=same ra=[CFA-8]");
    unwind_assert_rule(table, UNWIND_TEXT + AT + 0x20, NONE);
    unwind_assert_rule(table, UNWIND_TEXT + AT + 0x30, NONE);
    hpp_unwind_free(table);
    unwind_file_end(&file);
}

/* States beyond what is kept: nothing is guessed. */
static void test_deep_states(void **state)
{
    uint8_t program[80];
    struct unwind_file file;
    const struct hpp_unwind_table *table;

    (void)state;
    for (unsigned count = 32; count <= 33; count++) {
        program[0] = STEP;
        memset(program + 1, DW_CFA_remember_state, count);
        memset(program + 1 + count, DW_CFA_restore_state, count);
        unwind_file_start(&file);
        table = build_one(&file, "zR", program, 1 + 2 * count);
        unwind_assert_rule(table, UNWIND_TEXT + AT, START);
        unwind_assert_rule(table, UNWIND_TEXT + AT + 1, count == 32 ? START : NONE);
        hpp_unwind_free(table);
        unwind_file_end(&file);
    }
}

/* Each program, cut at each byte: whatever it means then, the table is valid. The entry is not padded, so
 * that it ends there. */
static void test_cut_programs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        for (size_t size = 0; size < samples[i].size; size++) {
            struct hpp_unwind_build build = {0};
            const struct hpp_unwind_table *table;
            struct unwind_file file;
            size_t cie, entry;
            uint32_t length;

            unwind_file_start(&file);
            cie = unwind_file_cie(&file, "zR", NULL, 0);
            entry = unwind_file_begin(&file, (int64_t)cie);
            unwind_file_address(&file, UNWIND_TEXT + AT, file.encoding);
            unwind_file_address(&file, CODE, file.encoding & 0x0f);
            unwind_file_u8(&file, 0);
            unwind_file_add(&file, samples[i].program, size);
            length = (uint32_t)(file.size - entry - 4);
            memcpy(file.frame + entry, &length, sizeof length);
            unwind_file_finish(&file);
            unwind_file_build(&file, file.bytes_size, &build, &table);
            hpp_unwind_free(table);
            unwind_file_end(&file);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),      cmocka_unit_test(test_signal_frame),
        cmocka_unit_test(test_set_loc),      cmocka_unit_test(test_deep_states),
        cmocka_unit_test(test_cut_programs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
