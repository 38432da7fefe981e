/* Text without libc: patterns, the bounded builder, look-ups. */
#include "common/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
        int matches;
    } cases[] = {
        {"", "", 1},
        {"", "a", 0},
        {"*", "", 1},
        {"*", "/any/path", 1},
        {"***", "", 1},
        {"?", "", 0},
        {"?", "a", 1},
        {"?*", "", 0},
        {"*?", "abc", 1},
        {"abc", "abc", 1},
        {"abc", "abcd", 0},
        {"abcd", "abc", 0},
        {"*/libc.so*", "/usr/lib/libc.so.6", 1},
        {"*/libc.so", "/usr/lib/libc.so.6", 0},
        {"*a*b*c", "xaxbxbxc", 1},
        {"*a*b*c", "xaxcxb", 0},
        {"*ab", "aab", 1},
        {"*aab", "aaab", 1},
        {"a*a", "a", 0},
        {"[abc]x", "bx", 1},
        {"[abc]x", "dx", 0},
        {"[a-c]x", "bx", 1},
        {"[!a-c]x", "bx", 0},
        {"[!a-c]x", "dx", 1},
        {"[^a]", "b", 1},
        {"[^a]", "", 0},
        {"[]]", "]", 1},
        {"[!]]", "]", 0},
        {"[!]]", "a", 1},
        {"[a-]", "-", 1},
        {"[-a]", "-", 1},
        {"[z-a]", "m", 0},
        {"[*]", "*", 1},
        {"[*]", "a", 0},
        {"*[0-9].so", "lib7.so", 1},
        {"*[0-9].so", "lib7x.so", 0},
        {"*.[ch]", "a.b.c", 1},
        {"[", "[", 0},
        {"[a", "a", 0},
        {"[!", "a", 0},
        {"[]", "]", 0},
        {"*[", "a[", 0},
        {"*[a-", "a", 0},
        {"\xff*", "\xff\xfe", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (hpp_text_matches(cases[i].pattern, cases[i].text) != cases[i].matches)
            fail_msg("'%s' on '%s': not %d", cases[i].pattern, cases[i].text, cases[i].matches);
}

/* What takes exponential time in a matcher that tries every star anew. */
static void test_pattern_time(void **state)
{
    enum { STARS = 200, LENGTH = 20000 };
    char *pattern = malloc(2 * STARS + 2), *text = malloc(LENGTH + 1);

    (void)state;
    for (int i = 0; i < STARS; i++)
        memcpy(pattern + 2 * i, "*a", 2);
    strcpy(pattern + 2 * STARS, "b");
    memset(text, 'a', LENGTH);
    text[LENGTH] = 0;
    assert_false(hpp_text_matches(pattern, text));
    pattern[2 * STARS] = 0;
    assert_true(hpp_text_matches(pattern, text));
    free(pattern);
    free(text);
}

/* Any bytes as pattern and text, in memory of their own size: a sanitizer sees what is read beyond. */
static void test_pattern_noise(void **state)
{
    static const char alphabet[] = "ab*?[]!-^/";

    (void)state;
    srandom(1);
    for (int round = 0; round < 20000; round++) {
        size_t sizes[2] = {(size_t)random() % 12, (size_t)random() % 12};
        char *strings[2];
        for (int i = 0; i < 2; i++) {
            strings[i] = malloc(sizes[i] + 1);
            for (size_t j = 0; j < sizes[i]; j++)
                strings[i][j] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
            strings[i][sizes[i]] = 0;
        }
        hpp_text_matches(strings[0], strings[1]);
        free(strings[0]);
        free(strings[1]);
    }
}

static void test_builder(void **state)
{
    char small[8], guard[12];
    struct hpp_text text = HPP_TEXT(small);

    (void)state;
    hpp_text_put(&text, "abc");
    hpp_text_put_number(&text, 12);
    assert_string_equal(small, "abc12");
    hpp_text_put(&text, "xyz");
    assert_string_equal(small, "abc12xy"); /* what does not fit is cut */
    assert_int_equal(text.used, 7);
    hpp_text_put_number(&text, 9);
    hpp_text_put_bytes(&text, "q", 1);
    assert_string_equal(small, "abc12xy");
    /* exactly as large as told, not a byte more */
    memset(guard, '#', sizeof guard);
    text = (struct hpp_text){guard, 4, 0};
    hpp_text_put_hex(&text, UINT64_MAX);
    assert_memory_equal(guard, "fff\0########", sizeof guard);
    text = (struct hpp_text){guard, 1, 0};
    hpp_text_put(&text, "x");
    assert_memory_equal(guard, "\0ff\0########", sizeof guard);
    text = (struct hpp_text){NULL, 0, 0};
    hpp_text_put(&text, "x");
    assert_int_equal(text.used, 0);
}

static void test_numbers(void **state)
{
    static const uint64_t numbers[] = {0, 1, 9, 10, 15, 16, 999, 1000, 7120, 123456789012, UINT64_MAX};
    char made[64], expected[64];

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        unsigned long long n = numbers[i];
        struct hpp_text text = HPP_TEXT(made);
        hpp_text_put_number(&text, n);
        hpp_text_put(&text, " ");
        hpp_text_put_hex(&text, n);
        hpp_text_put(&text, " ");
        hpp_text_put_thousandths(&text, n);
        snprintf(expected, sizeof expected, "%llu %llx %llu.%03llu", n, n, n / 1000, n % 1000);
        assert_string_equal(made, expected);
    }
}

static void test_look_ups(void **state)
{
    (void)state;
    assert_int_equal(hpp_text_length(""), 0);
    assert_int_equal(hpp_text_length("abc"), 3);
    assert_true(hpp_text_equal("", ""));
    assert_true(hpp_text_equal("abc", "abc"));
    assert_false(hpp_text_equal("abc", "abcd"));
    assert_false(hpp_text_equal("abcd", "abc"));
    assert_string_equal(hpp_text_after("HPPROF_OUT=x", "HPPROF_OUT"), "=x");
    assert_string_equal(hpp_text_after("abc", ""), "abc");
    assert_string_equal(hpp_text_after("abc", "abc"), "");
    assert_null(hpp_text_after("ab", "abc"));
    assert_null(hpp_text_after("", "a"));
    assert_string_equal(hpp_text_base_name("/usr/bin/app"), "app");
    assert_string_equal(hpp_text_base_name("app"), "app");
    assert_string_equal(hpp_text_base_name("/"), "");
    assert_string_equal(hpp_text_base_name("a/b/"), "");
}

/* Each word is the one that strerror has. */
static void test_errors(void **state)
{
    int known = 0;

    (void)state;
    for (int error = 1; error < 200; error++) {
        const char *word = hpp_text_error(-error);
        assert_ptr_equal(word, hpp_text_error(error));
        if (!strcmp(word, "error"))
            continue;
        assert_string_equal(word, strerror(error));
        known++;
    }
    assert_in_range(known, 15, 199);
    assert_string_equal(hpp_text_error(0), "error");
    assert_string_equal(hpp_text_error(-ENOSPC), "No space left on device");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),      cmocka_unit_test(test_pattern_time),
        cmocka_unit_test(test_pattern_noise), cmocka_unit_test(test_builder),
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_look_ups),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
