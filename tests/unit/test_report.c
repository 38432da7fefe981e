/* Adding up: flat and cumulative, recursion, ties, pseudo-frames, where stacks end and why; folded stacks;
 * the outputs' escaping. */
#include "tests/unit/fixture.h"
#include "symbolizer/escape.h"
#include "symbolizer/flamegraph.h"
#include "symbolizer/report_stacks.h"
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

static void add_stack(struct fixture *fixture, int64_t weight, size_t depth, const uint64_t *stack)
{
    fixture_sample(fixture, weight, "main", 1, depth, stack);
}

static void assert_image(const struct hpp_report *report, size_t index, const char *path, int samples)
{
    assert_true(index < report->unfinished_image_count);
    assert_string_equal(report->unfinished_images[index].image, path);
    assert_int_equal(report->unfinished_images[index].amount.samples, samples);
    assert_int_equal(report->unfinished_images[index].amount.ns, samples * (int64_t)FIXTURE_PERIOD);
}

/* Stacks that end in several images, and stacks with their middle left out. */
static struct hpp_profile *make_deep(void)
{
    struct fixture fixture;
    struct hpp_profile *profile;
    uint64_t app, lib, anon, end, gap, main_, leaf, jit, nowhere;

    fixture_begin(&fixture);
    app = fixture_mapping(&fixture, 0x1000, 0x1000, 0, "/bin/app", "aa");
    lib = fixture_mapping(&fixture, 0x9000, 0x1000, 0, "/lib/lib.so", "bb");
    anon = fixture_mapping(&fixture, 0xb000, 0x1000, 0, "//anon", "");
    main_ = fixture_named(&fixture, app, 0x1001, "main");
    leaf = fixture_named(&fixture, lib, 0x9001, "leaf");
    jit = fixture_named(&fixture, anon, 0xb001, "[anon]");
    nowhere = fixture_named(&fixture, 0, 0xd001, "[unknown]");
    end = fixture_named(&fixture, 0, 0, HPP_NAME_UNFINISHED);
    gap = fixture_named(&fixture, 0, 1, HPP_NAME_TRUNCATED);
    add_stack(&fixture, 50, 2, (uint64_t[]){leaf, main_});
    add_stack(&fixture, 20, 4, (uint64_t[]){leaf, leaf, gap, main_});
    add_stack(&fixture, 10, 2, (uint64_t[]){leaf, gap});
    add_stack(&fixture, 5, 4, (uint64_t[]){leaf, gap, leaf, end});
    add_stack(&fixture, 4, 2, (uint64_t[]){leaf, end});
    add_stack(&fixture, 3, 3, (uint64_t[]){leaf, main_, end});
    add_stack(&fixture, 4, 3, (uint64_t[]){leaf, jit, end});
    add_stack(&fixture, 2, 2, (uint64_t[]){nowhere, end});
    add_stack(&fixture, 1, 1, (uint64_t[]){end});
    add_stack(&fixture, 1, 0, NULL);
    fixture_comment(&fixture, "hpprof.process pid=1 unwind=auto image=/bin/app");
    fixture_end_chunk(&fixture);
    profile = fixture_profile(&fixture);
    fixture_free(&fixture);
    return profile;
}

static void test_stacks(void **state)
{
    struct hpp_profile *profile = make_deep();
    struct hpp_report report;

    (void)state;
    for (int by = HPP_BY_FUNCTION; by <= HPP_BY_PROCESS; by++) {
        assert_int_equal(hpp_report_make(&report, profile, (enum hpp_report_by)by, HPP_SORT_CUM), 0);
        assert_int_equal(report.total.samples, 100);
        assert_int_equal(report.unfinished.samples, 19);
        assert_int_equal(report.truncated.samples, 35);
        assert_int_equal(report.middle.samples, 25);
        assert_int_equal(report.rootless.samples, 10);
        assert_int_equal(report.unfinished_image_count, 3);
        assert_image(&report, 0, "/lib/lib.so", 9);
        assert_image(&report, 1, "", 7); /* made at run time, in no mapping, or nothing known at all */
        assert_image(&report, 2, "/bin/app", 3);
        if (by == HPP_BY_FUNCTION) {
            assert_row(&report, 0, "leaf", 96, 96);
            assert_row(&report, 1, "main", 0, 73); /* those behind a gap too */
            assert_row(&report, 2, "[truncated]", 0, 35);
        }
        hpp_report_free(&report);
    }
    hpp_profile_free(profile);
}

static const char *reason_of(const char *image, int64_t samples, const char *const *comments)
{
    static char reason[64];
    struct hpp_profile *profile = hpp_profile_new();
    struct hpp_report_image at = {.image = image, .amount = {.samples = samples}};
    struct hpp_summary summary;

    for (; *comments; comments++)
        hpp_profile_add_comment(profile, *comments);
    hpp_summary_make(&summary, profile);
    hpp_report_reason(&at, profile, &summary, reason, sizeof reason);
    hpp_summary_free(&summary);
    hpp_profile_free(profile);
    return reason;
}

static void test_reasons(void **state)
{
    static const char *const tables[] = {"hpprof.process pid=1 unwind=auto image=/bin/app",
                                         "hpprof.unwind by_fp=10", "hpprof.unwind by_fp=10",
                                         "hpprof.no_table reason='it has none' image=/lib/a b.so", NULL};
    static const char *const some[] = {"hpprof.process pid=1 unwind=auto image=/bin/app",
                                       "hpprof.process pid=2 unwind=fp image=/bin/app",
                                       "hpprof.no_table reason='it has none' image=/lib/a b.so", NULL};

    (void)state;
    assert_string_equal(reason_of("/lib/a b.so", 5, tables), "it has none");
    assert_string_equal(reason_of("/lib/a", 21, tables), "its unwind information is of no use there");
    assert_string_equal(reason_of("/lib/a", 20, tables), "its unwind table came late, or is of no use there");
    assert_string_equal(reason_of("", 20, tables), "it has no unwind information");
    assert_string_equal(reason_of("/lib/a b.so", 5, some), "it has none");
    assert_string_equal(reason_of("/lib/a", 5, some), "some processes had frame pointers only");
    assert_string_equal(reason_of("/lib/a", 5, some + 1), "frame pointers only");
    assert_string_equal(reason_of("", 5, some + 1), "frame pointers only");
    assert_string_equal(reason_of("/lib/a", 5, some + 3), "its unwind information is of no use there");
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

/* Left out in the middle is no root; one [unfinished] root for all images. */
static void test_flame_of_deep_stacks(void **state)
{
    struct hpp_profile *profile = make_deep();
    struct hpp_flame flame;
    char *text;

    (void)state;
    assert_int_equal(hpp_flame_make(&flame, profile), 0);
    text = text_of(print_folded, &flame);
    assert_non_null(strstr(text, "main;[truncated];leaf;leaf 20\n"));
    assert_non_null(strstr(text, "[truncated];leaf 10\n"));
    assert_non_null(strstr(text, "[unfinished];leaf;[truncated];leaf 5\n"));
    free(text);
    text = text_of(print_svg, &flame);
    assert_non_null(
        strstr(text, "<title>[unfinished] [callers not known] (19 samples, 0.19 s, 19.00%)</title>"));
    assert_non_null(
        strstr(text, "<title>[truncated] [frames left out] (20 samples, 0.20 s, 20.00%)</title>"));
    assert_non_null(
        strstr(text, "<title>[truncated] [frames left out] (10 samples, 0.10 s, 10.00%)</title>"));
    assert_non_null(strstr(text, "<title>[anon] [made at run time] (4 samples, 0.04 s, 4.00%)</title>"));
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
        cmocka_unit_test(test_functions), cmocka_unit_test(test_others),
        cmocka_unit_test(test_stacks),    cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_flame),     cmocka_unit_test(test_flame_of_deep_stacks),
        cmocka_unit_test(test_escapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
