/* The machine-readable comments, and what the summary makes of them. */
#include "symbolizer/profile.h"
#include "symbolizer/summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_fields(void **state)
{
    const char *comment =
        "hpprof.remap backend=anon start=0x800000 end=0x1800000 asked_kib=16384 huge_kib=16383 "
        "ms=5.443 note='two words, start=7' image=/a b/huge_kib=3 x";
    char text[64];

    (void)state;
    assert_true(hpp_comment_is(comment, "hpprof.remap"));
    assert_false(hpp_comment_is(comment, "hpprof"));
    assert_false(hpp_comment_is(comment, "hpprof.rem"));
    assert_true(hpp_comment_is("hpprof version=1", "hpprof"));
    assert_true(hpp_comment_is("hpprof.end", "hpprof.end"));
    assert_int_equal(hpp_comment_number(comment, "start"), 0x800000);
    assert_int_equal(hpp_comment_number(comment, "end"), 0x1800000);
    assert_int_equal(hpp_comment_number(comment, "huge_kib"), 16383);
    assert_int_equal(hpp_comment_number(comment, "kib"), 0);
    assert_true(hpp_comment_text(comment, "note", text, sizeof text));
    assert_string_equal(text, "two words, start=7");
    assert_true(hpp_comment_text(comment, "image", text, sizeof text));
    assert_string_equal(text, "/a b/huge_kib=3 x");
    assert_true(hpp_comment_text(comment, "image", text, 5));
    assert_string_equal(text, "/a b");
    assert_false(hpp_comment_text(comment, "missing", text, sizeof text));
    assert_string_equal(text, "");
}

static void test_odd_lines(void **state)
{
    static const char *const lines[] = {"",
                                        " ",
                                        "  ",
                                        "x",
                                        "x ",
                                        "x =",
                                        "x a",
                                        "x a=",
                                        "x a='",
                                        "x a=' b",
                                        "x image=",
                                        "x  a=1",
                                        "x a='b'c=2 d=3",
                                        "x =1 a=4"};
    char text[16];

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        hpp_comment_text(lines[i], "a", text, sizeof text);
        hpp_comment_number(lines[i], "image");
        hpp_comment_number(lines[i], "");
    }
    assert_int_equal(hpp_comment_number("x a=-1", "a"), 0);
    assert_int_equal(hpp_comment_number("x a=12z", "a"), 12);
    assert_int_equal(hpp_comment_number("x =1 a=4", "a"), 4);
    assert_int_equal(hpp_comment_number("x a='b'c=2 d=3", "d"), 3);
    assert_true(hpp_comment_text("x a=", "a", text, sizeof text));
    assert_string_equal(text, "");
}

static void test_summary(void **state)
{
    struct hpp_profile *profile = hpp_profile_new();
    struct hpp_summary summary;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    hpp_profile_add_comment(profile, "hpprof.process pid=1 freq=250 image=/usr/bin/app");
    hpp_profile_add_comment(
        profile,
        "hpprof.remap backend=anon start=0x1 end=0x2 asked_kib=4096 huge_kib=2048 ms=1.5 image=/usr/bin/app");
    hpp_profile_add_comment(
        profile,
        "hpprof.remap backend=anon start=0x3 end=0x4 asked_kib=4096 huge_kib=4096 ms=1.0 image=/usr/bin/app");
    hpp_profile_add_comment(profile, "hpprof.left eligible_kib=2048 reason='no room' image=/lib/b.so");
    hpp_profile_add_comment(profile, "hpprof.huge samples=30 image=/usr/bin/app");
    hpp_profile_add_comment(profile, "hpprof.huge samples=20 image=/usr/bin/app");
    hpp_profile_add_comment(profile, "hpprof.range start=0x3 end=0x4 samples=11 image=/usr/bin/app");
    hpp_profile_add_comment(profile,
                            "hpprof.range start=0x3 end=0x4 samples=4 unloaded=1 image=/usr/bin/app");
    hpp_profile_add_comment(profile,
                            "hpprof.remap backend=memfd start=0x3 end=0x4 when=hot image=/usr/bin/app");
    hpp_profile_add_comment(profile, "hpprof.range start=0x3 end=0x4 samples=6 image=/usr/bin/app");
    hpp_profile_add_comment(profile, "hpprof.range start=0x3 end=0x4 samples=6 image=/nobody");
    hpp_profile_add_comment(profile,
                            "hpprof.range start=0x1 end=0x2 samples=0 put_back_kib=1024 reason='a patch' "
                            "image=/usr/bin/app");
    hpp_profile_add_comment(profile, "hpprof.lost dropped=3");
    hpp_profile_add_comment(profile, "hpprof.lost dropped=4 threads=1");
    hpp_summary_make(&summary, profile);
    assert_int_equal(summary.frequency, 250);
    assert_int_equal(summary.eligible_kib, 4096 * 2 + 2048);
    assert_int_equal(summary.huge_kib, 6144 - 1024);
    assert_int_equal(summary.images[0].put_back_kib, 1024);
    assert_string_equal(summary.images[0].put_back_reason, "a patch");
    assert_int_equal(summary.image_count, 3);
    assert_int_equal(summary.images[0].ranges, 3);
    assert_int_equal(summary.images[0].range[0].samples, 0);
    assert_int_equal(summary.images[0].range[1].samples, 15);
    assert_true(summary.images[0].range[1].unloaded && !summary.images[0].range[1].hot);
    assert_int_equal(summary.images[0].range[2].samples, 6);
    assert_true(summary.images[0].range[2].hot && !summary.images[0].range[2].unloaded);
    assert_int_equal(summary.dropped, 7);
    assert_int_equal(summary.processes, 1);
    assert_int_equal(summary.ends, 0);
    hpp_summary_print_lost(out, &summary);
    hpp_summary_print_remap(out, &summary, 80);
    fclose(out);
    assert_string_equal(text, "Lost: 7 samples dropped (ring full), 1 thread not sampled.\n"
                              "Text on huge pages: 5.0 of 10.0 MiB eligible, with 62.5% of samples.\n"
                              "  app: 5.0 of 8.0 MiB, memfd, 2.5 ms, 62.5% of samples\n"
                              "  app: 1.0 MiB of it on small pages again: a patch\n"
                              "  b.so: 2.0 MiB left: no room\n");
    free(text);
    hpp_summary_free(&summary);
    hpp_profile_free(profile);
}

static void test_walks(void **state)
{
    struct hpp_profile *profile = hpp_profile_new();
    struct hpp_summary summary;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    hpp_profile_add_comment(profile, "hpprof.process pid=1 freq=250 unwind=auto image=/usr/bin/app");
    hpp_profile_add_comment(profile, "hpprof.process pid=2 freq=250 unwind=fp image=/usr/bin/app");
    hpp_profile_add_comment(profile, "hpprof.process pid=3 freq=250 unwind=libunwind image=/unwind=fp");
    hpp_profile_add_comment(profile, "hpprof.unwind by_fp=6");
    hpp_profile_add_comment(profile, "hpprof.unwind by_fp=6");
    hpp_profile_add_comment(profile, "hpprof.lost not_libunwind=5");
    hpp_summary_make(&summary, profile);
    assert_int_equal(summary.by_fp_processes, 1);
    assert_int_equal(summary.by_fp, 12);
    assert_int_equal(summary.not_libunwind, 5);
    hpp_summary_print_by_fp(out, &summary, 0);
    hpp_summary_print_by_fp(out, &summary, 1200); /* 1 %: not worth a line */
    hpp_summary_print_by_fp(out, &summary, 120);
    assert_false(hpp_summary_print_lost(out, &summary));
    fclose(out);
    assert_string_equal(text,
                        "Walked by frame pointers, as unwind tables were not built yet: 10.0% of samples.\n");
    free(text);
    hpp_summary_free(&summary);
    hpp_profile_free(profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_odd_lines),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_walks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
