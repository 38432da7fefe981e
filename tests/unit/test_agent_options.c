/* The agent's options from an environment, small files of /proc, and the look-up of the real functions. */
#include "preload/options.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/options.h"
#include "preload/next_symbol.h"
#include "common/proc_file.h"
#include "preload/tell.h"
#include "profiler/sampler.h"

/* Reads ENVIRONMENT; what went to standard error stands in COMPLAINTS. */
static struct hpp_agent_options read_options(char **environment, char complaints[4096])
{
    struct hpp_agent_options options;
    int err = dup(2), caught = memfd_create("stderr", 0);
    ssize_t size;

    memset(&options, 0x55, sizeof options);
    dup2(caught, 2);
    hpp_tell_init();
    hpp_agent_options_read(environment, &options);
    dup2(err, 2);
    size = pread(caught, complaints, 4095, 0);
    complaints[size < 0 ? 0 : size] = 0;
    close(caught);
    close(err);
    return options;
}

static void expect_defaults(const struct hpp_agent_options *options)
{
    assert_int_equal(options->frequency, strtoul(hpp_options[HPP_OPT_FREQ].initial, NULL, 10));
    assert_int_equal(options->remap.how, HPP_REMAP_AUTO);
    assert_int_equal(options->remap.when, HPP_REMAP_WHEN_AUTO);
    assert_string_equal(options->remap.profile, "");
    assert_int_equal(options->remap.min, 2 << 20);
    assert_int_equal(options->remap.max, 1 << 30);
    assert_int_equal(options->validate, HPP_VALIDATE_AUTO);
    assert_string_equal(options->out, "");
    assert_string_equal(options->remap.match, "*");
    assert_string_equal(options->programs, "*");
    assert_string_equal(options->cache, "");
    assert_int_equal(options->cache_max, 1 << 30);
    assert_int_equal(options->flush, 1);
    assert_int_equal(options->file_max, 64 << 20);
    assert_true(options->start);
    assert_int_equal(options->toggle_signal, 0);
    assert_int_equal(options->memory, HPP_MEMORY_DEFAULT);
}

static void test_defaults(void **state)
{
    static char *none[] = {NULL};
    /* empty values, and names that only begin like ours */
    static char *empty[] = {"HPPROF_FREQ=",
                            "HPPROF_REMAP=",
                            "HPPROF_OUT=",
                            "HPPROF_REMAP_MATCH=",
                            "HPPROF_PROGRAMS=",
                            "HPPROF_CACHE=",
                            "HPPROF_CACHE_MAX=",
                            "HPPROF_FLUSH=",
                            "HPPROF_FILE_MAX=",
                            "HPPROF_OFF_FILE=",
                            "HPPROF_FREQUENCY=7",
                            "XHPPROF_FREQ=7",
                            "HPPROF_FREQ",
                            "",
                            "=",
                            "hpprof_freq=7",
                            NULL};
    char **const environments[] = {NULL, none, empty};
    char complaints[4096];

    (void)state;
    for (size_t i = 0; i < sizeof environments / sizeof environments[0]; i++) {
        struct hpp_agent_options options = read_options(environments[i], complaints);
        expect_defaults(&options);
        assert_null(options.session);
        assert_null(options.first);
        assert_string_equal(complaints, "");
    }
}

static void test_values(void **state)
{
    static char *environment[] = {"HPPROF_OUT=/x/%p",
                                  "HPPROF_FREQ=997",
                                  "HPPROF_REMAP=off",
                                  "HPPROF_REMAP_MIN=64K",
                                  "HPPROF_REMAP_MAX=3G",
                                  "HPPROF_REMAP_MATCH=*/lib[a-c]*",
                                  "HPPROF_VALIDATE=pipe",
                                  "HPPROF_PROGRAMS=cc1",
                                  "HPPROF_CACHE=/c",
                                  "HPPROF_CACHE_MAX=5M",
                                  "XDG_CACHE_HOME=/x",
                                  "HOME=/h",
                                  "HPPROF_FLUSH=60",
                                  "HPPROF_OFF_FILE=/off",
                                  "HPPROF_START=off",
                                  "HPPROF_TOGGLE_SIGNAL=USR2",
                                  "HPPROF_SESSION=/s",
                                  "HPPROF_FIRST=/f",
                                  NULL};
    char complaints[4096];
    struct hpp_agent_options options = read_options(environment, complaints);

    (void)state;
    assert_string_equal(complaints, "");
    assert_string_equal(options.out, "/x/%p");
    assert_int_equal(options.frequency, 997);
    assert_int_equal(options.remap.how, HPP_REMAP_OFF);
    assert_int_equal(options.remap.min, 64 << 10);
    assert_int_equal(options.remap.max, 3ull << 30);
    assert_string_equal(options.remap.match, "*/lib[a-c]*");
    assert_int_equal(options.validate, HPP_VALIDATE_PIPE);
    assert_string_equal(options.programs, "cc1");
    assert_string_equal(options.cache, "/c");
    assert_int_equal(options.cache_max, 5 << 20);
    assert_int_equal(options.flush, 60);
    assert_false(options.start);
    assert_int_equal(options.toggle_signal, SIGUSR2);
    assert_string_equal(hpp_agent_off_file(environment), "/off");
    assert_string_equal(options.cache_home, "/x");
    assert_string_equal(options.home, "/h");
    assert_string_equal(options.session, "/s");
    assert_string_equal(options.first, "/f");
}

/* Of two settings the first counts, as for getenv. */
static void test_twice(void **state)
{
    static char *environment[] = {"HPPROF_FREQ=10", "HPPROF_FREQ=20", NULL};
    char complaints[4096];

    (void)state;
    assert_int_equal(read_options(environment, complaints).frequency, 10);
}

/* A bad value: one line that says what, what is allowed and what is used instead; then the default. A
 * descendant says nothing, as its first process has. */
static void test_bad_values(void **state)
{
    static const struct {
        enum hpp_option_id id;
        const char *value;
    } cases[] = {
        {HPP_OPT_FREQ, "0"},         {HPP_OPT_FREQ, "10001"},
        {HPP_OPT_FREQ, "-5"},        {HPP_OPT_FREQ, "99 "},
        {HPP_OPT_FREQ, "fast"},      {HPP_OPT_FREQ, "1e3"},
        {HPP_OPT_REMAP, "thp"},      {HPP_OPT_REMAP, "AUTO"},
        {HPP_OPT_REMAP, "auto|off"}, {HPP_OPT_REMAP, "|"},
        {HPP_OPT_REMAP_MIN, "2MB"},  {HPP_OPT_REMAP_MIN, "-1"},
        {HPP_OPT_REMAP_MAX, "1T"},   {HPP_OPT_REMAP_MAX, "99999999999999999999"},
        {HPP_OPT_VALIDATE, "yes"},   {HPP_OPT_CACHE, "tables"},
        {HPP_OPT_CACHE, "OFF"},      {HPP_OPT_CACHE_MAX, "1GB"},
        {HPP_OPT_REMAP_MATCH, "["},  {HPP_OPT_PROGRAMS, "*[a-"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct hpp_option *option = &hpp_options[cases[i].id];
        char setting[64], complaints[4096], expected[128];
        char *environment[] = {setting, NULL, NULL};
        struct hpp_agent_options options;

        snprintf(setting, sizeof setting, "%s=%s", option->variable, cases[i].value);
        options = read_options(environment, complaints);
        expect_defaults(&options);
        snprintf(expected, sizeof expected, "hpprof: %s=%s is not allowed: use ", option->variable,
                 cases[i].value);
        assert_memory_equal(complaints, expected, strlen(expected));
        assert_non_null(strstr(complaints, option->allowed));
        snprintf(expected, sizeof expected, "; continuing with %s\n",
                 *option->initial ? option->initial : "the default");
        assert_string_equal(strstr(complaints, "; continuing"), expected);
        assert_ptr_equal(strchr(complaints, '\n'), complaints + strlen(complaints) - 1);
        for (int j = 0; j < 2; j++) {
            environment[1] = j ? "HPPROF_FIRST=/f" : "HPPROF_SESSION=/s";
            options = read_options(environment, complaints);
            expect_defaults(&options);
            assert_string_equal(complaints, "");
        }
    }
}

/* However long the value is, it is one line, and what is allowed stands in it. */
static void test_long_value(void **state)
{
    char *setting = malloc(100000), complaints[4096];
    char *environment[] = {setting, NULL};

    (void)state;
    strcpy(setting, "HPPROF_REMAP=");
    memset(setting + 13, 'x', 99986);
    setting[99999] = 0;
    read_options(environment, complaints);
    assert_in_range(strlen(complaints), 200, 511);
    assert_non_null(strstr(complaints, hpp_options[HPP_OPT_REMAP].allowed));
    assert_ptr_equal(strchr(complaints, '\n'), complaints + strlen(complaints) - 1);
    free(setting);
}

/* Nothing is written where standard error is another file than at start, closed, or a pipe that is full or
 * that nobody reads. */
static void test_tell(void **state)
{
    char line[] = "hpprof: a line\n", bytes[65536] = {0};
    struct hpp_text text = {line, sizeof line, sizeof line - 1};
    int err = dup(2), other = memfd_create("other", 0), ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    dup2(ends[1], 2);
    hpp_tell_init();
    hpp_tell(&text);
    assert_int_equal(read(ends[0], bytes, sizeof bytes), sizeof line - 1);
    assert_string_equal(bytes, line);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        ;
    hpp_tell(&text); /* comes back at once */
    dup2(other, 2);
    hpp_tell(&text);
    assert_int_equal(lseek(other, 0, SEEK_END), 0);
    close(2);
    hpp_tell(&text);
    dup2(ends[1], 2);
    close(ends[0]);
    hpp_tell(&text); /* no SIGPIPE */
    dup2(err, 2);
    close(err);
    close(other);
    close(ends[1]);
}

/* ---- small files of /proc ------------------------------------------------------------------------------ */

static void test_proc_files(void **state)
{
    char text[64], tiny[5], path[64];
    int fd = memfd_create("file", 0);

    (void)state;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(hpp_proc_file_read(path, text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(write(fd, "first: 12 kB\nsecond:max\n", 24), 24);
    assert_int_equal(hpp_proc_file_read(path, text, sizeof text), 24);
    assert_string_equal(text, "first: 12 kB\nsecond:max\n");
    assert_int_equal(hpp_proc_file_number(hpp_proc_file_line(text, "first:")), 12);
    assert_int_equal(hpp_proc_file_number(hpp_proc_file_line(text, "second:")), UINT64_MAX);
    assert_null(hpp_proc_file_line(text, "irst:"));
    assert_null(hpp_proc_file_line(text, "third:"));
    assert_null(hpp_proc_file_line("", "a"));
    assert_int_equal(hpp_proc_file_read(path, tiny, sizeof tiny), 4);
    assert_string_equal(tiny, "firs");
    assert_int_equal(hpp_proc_file_read("/proc/none", text, sizeof text), -ENOENT);
    assert_string_equal(text, "");
    assert_int_equal(hpp_proc_file_read("/proc", text, sizeof text), -EISDIR);
    close(fd);
}

static void test_proc_numbers(void **state)
{
    (void)state;
    assert_int_equal(hpp_proc_file_number("0"), 0);
    assert_int_equal(hpp_proc_file_number(" \t 77\n"), 77);
    assert_int_equal(hpp_proc_file_number("18446744073709551614"), UINT64_MAX - 1);
    assert_int_equal(hpp_proc_file_number("18446744073709551616"), UINT64_MAX);
    assert_int_equal(hpp_proc_file_number("99999999999999999999999"), UINT64_MAX);
    assert_int_equal(hpp_proc_file_number("max\n"), UINT64_MAX);
    assert_int_equal(hpp_proc_file_number(""), UINT64_MAX);
    assert_int_equal(hpp_proc_file_number("-1"), UINT64_MAX);
}

/* ---- the real functions -------------------------------------------------------------------------------- */

static void test_next_symbol(void **state)
{
    static const char *const names[] = {
        "pthread_create",    "sigaction", "signal", "pthread_key_create",
        "__libc_start_main", "qsort",     "getenv", "pthread_attr_getstacksize",
        "inflate",           "elf_begin"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_non_null(hpp_next_symbol(names[i]));
        assert_ptr_equal(hpp_next_symbol(names[i]), dlsym(RTLD_NEXT, names[i]));
    }
    assert_null(hpp_next_symbol("hpprof_no_such_function"));
    assert_null(hpp_next_symbol(""));
    assert_null(hpp_next_symbol("environ")); /* data */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_twice),       cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_long_value),  cmocka_unit_test(test_tell),
        cmocka_unit_test(test_proc_files),  cmocka_unit_test(test_proc_numbers),
        cmocka_unit_test(test_next_symbol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
