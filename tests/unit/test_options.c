/* The option table: every row is sound, and values parse as it says. */
#include "common/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void test_rows(void **state)
{
    (void)state;
    for (int i = 0; i < HPP_OPTION_COUNT; i++) {
        const struct hpp_option *option = &hpp_options[i];
        uint64_t number;
        assert_true(option->users != 0);
        assert_true(*option->help != '\0');
        assert_true(*option->variable || *option->flag);
        assert_int_equal(option->kind == HPP_OPTION_SWITCH, !*option->argument);
        if (option->users & HPP_AGENT_OPTION)
            assert_int_equal(strncmp(option->variable, "HPPROF_", 7), 0);
        if (*option->initial)
            assert_int_equal(hpp_option_parse(option, option->initial, &number), 0);
        for (int j = 0; j < i; j++) {
            const struct hpp_option *other = &hpp_options[j];
            assert_false(option->users & other->users && *option->flag && !strcmp(option->flag, other->flag));
            assert_false(option->users & other->users && option->letter && option->letter == other->letter);
            assert_false(*option->variable && !strcmp(option->variable, other->variable));
        }
    }
}

static void test_values(void **state)
{
    static const struct {
        enum hpp_option_kind kind;
        const char *allowed, *text;
        int result;
        uint64_t number;
    } cases[] = {
        {HPP_OPTION_CHOICE, "auto|anon|off", "anon", 0, 1},
        {HPP_OPTION_CHOICE, "auto|anon|off", "off", 0, 2},
        {HPP_OPTION_CHOICE, "auto|anon|off", "of", -EINVAL, 0},
        {HPP_OPTION_CHOICE, "auto|anon|off", "offf", -EINVAL, 0},
        {HPP_OPTION_CHOICE, "auto|anon|off", "auto|anon", -EINVAL, 0},
        {HPP_OPTION_CHOICE, "auto|anon|off", "", -EINVAL, 0},
        {HPP_OPTION_NUMBER, "1..10000", "1", 0, 1},
        {HPP_OPTION_NUMBER, "1..10000", "10000", 0, 10000},
        {HPP_OPTION_NUMBER, "1..10000", "10001", -EINVAL, 0},
        {HPP_OPTION_NUMBER, "1..10000", "0", -EINVAL, 0},
        {HPP_OPTION_NUMBER, "1..10000", "-1", -EINVAL, 0},
        {HPP_OPTION_NUMBER, "1..10000", " 1", -EINVAL, 0},
        {HPP_OPTION_NUMBER, "1..10000", "1K", -EINVAL, 0},
        {HPP_OPTION_NUMBER, "1..10000", "99999999999999999999", -EINVAL, 0},
        {HPP_OPTION_SIZE, "0..1024G", "2M", 0, 2 << 20},
        {HPP_OPTION_SIZE, "0..1024G", "4k", 0, 4096},
        {HPP_OPTION_SIZE, "0..1024G", "1024G", 0, 1ull << 40},
        {HPP_OPTION_SIZE, "0..1024G", "1025G", -EINVAL, 0},
        {HPP_OPTION_SIZE, "0..1024G", "18446744073709551615G", -EINVAL, 0},
        {HPP_OPTION_SIZE, "0..1024G", "1MB", -EINVAL, 0},
        {HPP_OPTION_SIZE, "0..1024G", "M", -EINVAL, 0},
        {HPP_OPTION_SIZE, "0..1024G", "", -EINVAL, 0},
        {HPP_OPTION_FOLDER, "off or an absolute path", "/", 0, 0},
        {HPP_OPTION_FOLDER, "off or an absolute path", "off", 0, 0},
        {HPP_OPTION_FOLDER, "off or an absolute path", "offf", -EINVAL, 0},
        {HPP_OPTION_FOLDER, "off or an absolute path", "a/b", -EINVAL, 0},
        {HPP_OPTION_FOLDER, "off or an absolute path", "", -EINVAL, 0},
        {HPP_OPTION_GLOB, "", "", 0, 0},
        {HPP_OPTION_GLOB, "", "*lib[a-z][!]x]?]", 0, 0},
        {HPP_OPTION_GLOB, "", "[", -EINVAL, 0},
        {HPP_OPTION_GLOB, "", "[]", -EINVAL, 0},
        {HPP_OPTION_GLOB, "", "[a]*[!]", -EINVAL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hpp_option option = {.kind = cases[i].kind, .allowed = cases[i].allowed};
        uint64_t number = 0;
        assert_int_equal(hpp_option_parse(&option, cases[i].text, &number), cases[i].result);
        if (!cases[i].result)
            assert_int_equal(number, cases[i].number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
