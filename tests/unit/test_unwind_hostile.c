/* Files that lie, and limits: a reason or a valid table, in bounded time and memory. And .debug_frame. */
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

/* A file of 4 functions of 0x100 bytes. Returns the offset of the third's entry. */
static size_t make_file(struct unwind_file *file)
{
    size_t cie, third = 0;

    unwind_file_start(file);
    cie = unwind_file_cie(file, "zR", NULL, 0);
    for (unsigned i = 0; i < 4; i++) {
        size_t entry = unwind_file_description(file, cie, 0x100 * i, 0x100, deep, sizeof deep);
        third = i == 2 ? entry : third;
    }
    return third;
}

static void put(struct unwind_file *file, size_t at, uint32_t value)
{
    memcpy(file->frame + at, &value, sizeof value);
}

/* Builds; the result must be RESULT, with REASON in the text if it is an error. */
static const struct hpp_unwind_table *build(struct unwind_file *file, struct hpp_unwind_build *made,
                                            int result, const char *reason)
{
    const struct hpp_unwind_table *table;

    unwind_file_finish(file);
    assert_int_equal(unwind_file_build(file, file->bytes_size, made, &table), result);
    if (result)
        assert_non_null(strstr(made->reason, reason));
    return table;
}

static void test_lengths(void **state)
{
    static const uint32_t lengths[] = {0x1000, 0x7fffffff, 0xfffffff0, 0xffffffff};
    struct unwind_file file;

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct hpp_unwind_build made = {0};
        const struct hpp_unwind_table *table;
        size_t third = make_file(&file);
        put(&file, third, lengths[i]);
        /* Where nobody tells the section's end, what makes no sense ends it. */
        table = build(&file, &made, 0, NULL);
        unwind_assert_rule(table, UNWIND_TEXT + 0x1ff, DEEP);
        unwind_assert_rule(table, UNWIND_TEXT + 0x200, NONE);
        hpp_unwind_free(table);
        file.has_sections = 1;
        build(&file, &made, -EINVAL, "longer than the rest");
        unwind_file_end(&file);
    }
    for (uint32_t length = 1; length < 12; length++) { /* shorter than what is read from it */
        struct hpp_unwind_build made = {0};
        const struct hpp_unwind_table *table;
        size_t third = make_file(&file);
        put(&file, third, length);
        file.has_sections = 1;
        unwind_file_finish(&file);
        if (!unwind_file_build(&file, file.bytes_size, &made, &table)) {
            unwind_assert_rule(table, UNWIND_TEXT + 0x1ff, DEEP);
            unwind_assert_rule(table, UNWIND_TEXT + 0x200, NONE);
        }
        hpp_unwind_free(table);
        unwind_file_end(&file);
    }
}

/* A description's common entry is another description, its middle, itself, or outside. */
static void test_common_entry_lies(void **state)
{
    struct unwind_file file;

    (void)state;
    for (int32_t off = -64; off <= 64; off++) {
        struct hpp_unwind_build made = {0};
        const struct hpp_unwind_table *table;
        size_t third = make_file(&file);
        uint32_t right;
        memcpy(&right, file.frame + third + 4, sizeof right);
        if (right + (uint32_t)off == 0)
            continue; /* that would be a common entry */
        put(&file, third + 4, right + (uint32_t)off);
        table = build(&file, &made, 0, NULL);
        unwind_assert_rule(table, UNWIND_TEXT + 0x200, off ? NONE : DEEP);
        unwind_assert_rule(table, UNWIND_TEXT + 0x300, DEEP);
        assert_int_equal(made.skipped, off ? 1 : 0);
        hpp_unwind_free(table);
        unwind_file_end(&file);
    }
}

static void test_terminator(void **state)
{
    struct unwind_file file;
    struct hpp_unwind_build made = {0};
    const struct hpp_unwind_table *table;

    (void)state;
    put(&file, make_file(&file), 0);
    table = build(&file, &made, 0, NULL);
    assert_int_equal(made.entries, 2);
    unwind_assert_rule(table, UNWIND_TEXT + 0x200, NONE);
    hpp_unwind_free(table);
    unwind_file_end(&file);
}

static void test_absurd_segments(void **state)
{
    struct unwind_file file;
    struct hpp_unwind_build made = {0};

    (void)state;
    make_file(&file);
    file.text_size = (uint64_t)5 << 30;
    build(&file, &made, -EFBIG, "more than 4 GiB");
    file.text_size = UINT64_MAX;
    build(&file, &made, -EINVAL, "ends before it begins");
    file.text_size = 0;
    build(&file, &made, -ENODATA, "no code");
    file.text_size = 0x80; /* less than any description says */
    build(&file, &made, -ENODATA, "nothing about its code");
    unwind_file_end(&file);
}

static int count_pause(void *context)
{
    int *calls = context;
    return --*calls < 0;
}

static void test_limits(void **state)
{
    enum { COUNT = 20000 };
    struct unwind_file file;
    const struct hpp_unwind_table *table;
    size_t cie;
    int calls = 1000000, asked;

    (void)state;
    unwind_file_start(&file);
    file.text_size = COUNT * 0x20;
    cie = unwind_file_cie(&file, "zR", NULL, 0);
    for (unsigned i = 0; i < COUNT; i++)
        unwind_file_description(&file, cie, 0x20 * i, 0x10, deep, sizeof deep);
    for (size_t limit = 1; limit <= (size_t)16 << 20; limit *= 2) {
        struct hpp_unwind_build made = {.memory_limit = limit};
        unwind_file_finish(&file);
        if (!unwind_file_build(&file, file.bytes_size, &made, &table))
            assert_in_range(table->size, 1, limit);
        else
            assert_int_equal(limit > (size_t)8 << 20, 0);
        hpp_unwind_free(table);
    }
    hpp_unwind_free(
        build(&file, &(struct hpp_unwind_build){.pause = count_pause, .context = &calls}, 0, NULL));
    asked = 1000000 - calls;
    assert_in_range(asked, 5, 1000);
    for (int i = 0; i < asked; i++) {
        calls = i;
        build(&file, &(struct hpp_unwind_build){.pause = count_pause, .context = &calls}, -ECANCELED,
              "given up");
    }
    unwind_file_end(&file);
}

/* .debug_frame counts where .eh_frame has nothing. */
static void test_debug_frame(void **state)
{
    struct unwind_file file;
    struct hpp_unwind_build made = {0};
    const struct hpp_unwind_table *table;
    size_t cie;

    (void)state;
    unwind_file_start(&file);
    file.is_debug = 1;
    file.encoding = DW_EH_PE_absptr;
    unwind_file_u32(&file, 0); /* padding */
    cie = unwind_file_cie(&file, "", NULL, 0);
    unwind_file_description(&file, cie, 0x180, 0x200, deep, sizeof deep);
    unwind_file_description(&file, cie, 0x100, 0x40, deep, sizeof deep);
    unwind_file_to_debug(&file);
    table = build(&file, &made, 0, NULL); /* a file of debug information, apart */
    assert_null(made.note);
    unwind_assert_rule(table, UNWIND_TEXT + 0x100, DEEP);
    unwind_assert_rule(table, UNWIND_TEXT + 0x37f, DEEP);
    hpp_unwind_free(table);
    file.is_debug = 0;
    file.encoding = DW_EH_PE_pcrel | DW_EH_PE_sdata4;
    cie = unwind_file_cie(&file, "zR", NULL, 0);
    unwind_file_description(&file, cie, 0x120, 0x80, NULL, 0);
    unwind_file_description(&file, cie, 0x200, 0x80, NULL, 0);
    table = build(&file, &made, 0, NULL);
    unwind_assert_rule(table, UNWIND_TEXT + 0x11f, DEEP);
    unwind_assert_rule(table, UNWIND_TEXT + 0x120, START);
    unwind_assert_rule(table, UNWIND_TEXT + 0x19f, START);
    unwind_assert_rule(table, UNWIND_TEXT + 0x1a0, DEEP);
    unwind_assert_rule(table, UNWIND_TEXT + 0x200, START);
    hpp_unwind_free(table);
    file.debug_flags = SHF_COMPRESSED;
    table = build(&file, &made, 0, NULL);
    assert_non_null(strstr(made.note, "compressed"));
    unwind_assert_rule(table, UNWIND_TEXT + 0x100, NONE);
    hpp_unwind_free(table);
    unwind_file_end(&file);
}

static void test_nothing(void **state)
{
    struct unwind_file file;
    struct hpp_unwind_build made = {0};

    (void)state;
    unwind_file_start(&file);
    file.has_sections = 1;
    build(&file, &made, -ENODATA, "no unwind information");
    ((Elf64_Ehdr *)file.bytes)->e_machine = EM_AARCH64;
    {
        const struct hpp_unwind_table *table;
        assert_int_equal(unwind_file_build(&file, file.bytes_size, &made, &table), -ENOEXEC);
        assert_string_equal(made.reason, "it is for another processor");
    }
    unwind_file_end(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),    cmocka_unit_test(test_common_entry_lies),
        cmocka_unit_test(test_terminator), cmocka_unit_test(test_absurd_segments),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_debug_frame),
        cmocka_unit_test(test_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
