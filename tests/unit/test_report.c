/* Adding up: flat and cumulative, recursion, ties, pseudo-frames; folded stacks; the outputs' escaping. */
#include "tests/unit/fixture.h"
#include "symbolizer/escape.h"
#include "symbolizer/flamegraph.h"
#include "symbolizer/report.h"
#include "symbolizer/symbolize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* main calls work, which calls itself; b and a are equal; one stack is unfinished, one truncated. */
static struct hpp_profile *make(void)
{
    struct fixture fixture;
    struct hpp_profile *profile;
    uint64_t app, lib, main_, work, again, a, b, unfinished, truncated;

    fixture_begin(&fixture);
    app = fixture_mapping(&fixture, 0x1000, 0x1000, 0, "/bin/app", "aa");
    lib = fixture_mapping(&fixture, 0x9000, 0x1000, 0, "/lib/lib.so", "bb");
    main_ = fixture_named(&fixture, app, 0x1001, "main");
    work = fixture_named(&fixture, app, 0x1002, "work");
    again = fixture_named(&fixture, app, 0x1003, "work");
    a = fixture_named(&fixture, lib, 0x9001, "a");
    b = fixture_named(&fixture, lib, 0x9002, "b");
    unfinished = fixture_named(&fixture, 0, 0, HPP_NAME_UNFINISHED);
    truncated = fixture_named(&fixture, 0, 0, HPP_NAME_TRUNCATED);
    fixture_comment(&fixture, "hpprof.process pid=42 image=/bin/app");
    fixture_sample(&fixture, 10, "main", 42, 4, (uint64_t[]){work, again, work, main_});
    fixture_sample(&fixture, 3, "main", 42, 2, (uint64_t[]){b, main_});
    fixture_sample(&fixture, 3, "io", 43, 2, (uint64_t[]){a, unfinished});
    fixture_sample(&fixture, 1, "io", 43, 3, (uint64_t[]){main_, again, truncated});
    fixture_end_chunk(&fixture);
    profile = fixture_profile(&fixture);
    fixture_free(&fixture);
    return profile;
}

static void assert_row(const struct hpp_report *report, size_t index, const char *name, int flat, int cum)
{
    assert_true(index < report->row_count);
    assert_string_equal(report->rows[index].name, name);
    assert_int_equal(report->rows[index].flat.samples, flat);
    assert_int_equal(report->rows[index].cum.samples, cum);
    assert_int_equal(report->rows[index].flat.ns, flat * (int64_t)FIXTURE_PERIOD);
    assert_int_equal(report->rows[index].cum.ns, cum * (int64_t)FIXTURE_PERIOD);
}

static void test_functions(void **state)
{
    struct hpp_profile *profile = make();
    struct hpp_report report;

    (void)state;
    assert_int_equal(hpp_report_make(&report, profile, HPP_BY_FUNCTION, HPP_SORT_FLAT), 0);
    assert_int_equal(report.total.samples, 17);
    assert_int_equal(report.unfinished.samples, 3);
    assert_int_equal(report.truncated.samples, 1);
    assert_int_equal(report.row_count, 6);
    assert_row(&report, 0, "work", 10, 11); /* once a stack */
    assert_row(&report, 1, "a", 3, 3);      /* equal: by name */
    assert_row(&report, 2, "b", 3, 3);
    assert_row(&report, 3, "main", 1, 14);
    assert_row(&report, 4, "[truncated]", 0, 1);
    assert_row(&report, 5, "[unfinished]", 0, 3);
    assert_string_equal(report.rows[0].image, "/bin/app");
    assert_string_equal(report.rows[1].image, "/lib/lib.so");
    hpp_report_free(&report);
    assert_int_equal(hpp_report_make(&report, profile, HPP_BY_FUNCTION, HPP_SORT_CUM), 0);
    assert_row(&report, 0, "main", 1, 14);
    assert_row(&report, 1, "work", 10, 11);
    assert_row(&report, 2, "[unfinished]", 0, 3);
    hpp_report_free(&report);
    assert_int_equal(hpp_report_make(&report, profile, HPP_BY_FUNCTION, HPP_SORT_NAME), 0);
    assert_row(&report, 0, "[truncated]", 0, 1);
    assert_row(&report, 5, "work", 10, 11);
    hpp_report_free(&report);
    hpp_profile_free(profile);
}

static void test_others(void **state)
{
    struct hpp_profile *profile = make();
    struct hpp_report report;

    (void)state;
    assert_int_equal(hpp_report_make(&report, profile, HPP_BY_IMAGE, HPP_SORT_FLAT), 0);
    assert_row(&report, 0, "/bin/app", 11, 14);
    assert_row(&report, 1, "/lib/lib.so", 6, 6);
    hpp_report_free(&report);
    assert_int_equal(hpp_report_make(&report, profile, HPP_BY_THREAD, HPP_SORT_FLAT), 0);
    assert_int_equal(report.row_count, 2);
    assert_row(&report, 0, "main (42)", 13, 13);
    assert_row(&report, 1, "io (43)", 4, 4);
    assert_int_equal(report.unfinished.samples, 3);
    hpp_report_free(&report);
    assert_int_equal(hpp_report_make(&report, profile, HPP_BY_PROCESS, HPP_SORT_FLAT), 0);
    assert_int_equal(report.row_count, 1);
    assert_row(&report, 0, "app (42)", 17, 17);
    hpp_report_free(&report);
    hpp_profile_free(profile);
}

static char *text_of(void (*print)(FILE *out, void *what), void *what)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    print(out, what);
    fclose(out);
    return text;
}

static void print_folded(FILE *out, void *what)
{
    hpp_flame_print_folded(out, what);
}

static void print_svg(FILE *out, void *what)
{
    hpp_flame_print_svg(out, what, "<&\">");
}

static void test_flame(void **state)
{
    struct hpp_profile *profile = make();
    struct hpp_flame flame;
    char *text;

    (void)state;
    assert_int_equal(hpp_flame_make(&flame, profile), 0);
    assert_int_equal(flame.nodes[0].samples, 17);
    text = text_of(print_folded, &flame);
    assert_non_null(strstr(text, "[truncated];work;main 1\n"));
    assert_non_null(strstr(text, "[unfinished];a 3\n"));
    assert_non_null(strstr(text, "main;b 3\n"));
    assert_non_null(strstr(text, "main;work;work;work 10\n"));
    assert_int_equal(strlen(text),
                     strlen("[truncated];work;main 1\n[unfinished];a 3\nmain;b 3\nmain;work;work;work 10\n"));
    free(text);
    text = text_of(print_svg, &flame);
    assert_non_null(strstr(text, "&lt;&amp;&quot;&gt;</text>"));
    assert_null(strstr(text, "<&"));
    assert_non_null(strstr(text, "<title>b [lib.so] (3 samples, 0.03 s, 17.65%)</title>"));
    free(text);
    hpp_flame_free(&flame);
    hpp_profile_free(profile);
}

static char escaped[256];

static const char *escape(void (*print)(FILE *out, const char *text), const char *text)
{
    FILE *out = fmemopen(escaped, sizeof escaped, "w");

    print(out, text);
    fclose(out);
    return escaped;
}

static void plain(FILE *out, const char *text)
{
    hpp_escape_plain(out, text, 0);
}

static void plain_5(FILE *out, const char *text)
{
    assert_in_range(hpp_escape_plain(out, text, 5), 0, 5);
}

static void test_escapes(void **state)
{
    (void)state;
    assert_string_equal(escape(plain, "a\033[1m\x7f\xc2\x9b\xff\xc3\xa4"), "a?[1m???\xc3\xa4");
    assert_string_equal(escape(plain_5, "abcde"), "abcde");
    assert_string_equal(escape(plain_5, "abcdef"), "abcd…");
    assert_string_equal(escape(plain_5, "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"),
                        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4…");
    assert_string_equal(escape(hpp_escape_json, "a\"b\\c\n\x01\xff\xc3\xa4"),
                        "\"a\\\"b\\\\c\\u000a\\u0001\\ufffd\xc3\xa4\"");
    assert_string_equal(escape(hpp_escape_xml, "<a href=\"&'\">\x01\xef\xbf\xbf\xff"),
                        "&lt;a href=&quot;&amp;'&quot;&gt;???");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_flame),
        cmocka_unit_test(test_escapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
