/* Where a process's profile goes, and which file is opened for it. */
#include "preload/output_path.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct hpp_pprof_file file;
static struct hpp_agent_options options;

static void expect_path(const char *folder, const char *path, const char *made)
{
    file.path[0] = 'x';
    file.folder = NULL;
    hpp_output_path(&file, &options, folder, "app", 42);
    assert_string_equal(file.path, path);
    assert_string_equal(file.folder ? file.folder : "", made);
}

static void test_first_process(void **state)
{
    static const struct {
        const char *out, *path;
    } cases[] = {
        {"/var/x.pb", "/var/x.pb"},
        {"/var/%e.pb", "/var/app.pb"},
        {"/var/%p/%e%p", "/var/42/app42"},
        {"/100%%.pb", "/100%.pb"},
        {"/%%p", "/%p"},
        {"/%q%", "/%q%"},
        {"/%", "/%"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        options = (struct hpp_agent_options){.out = cases[i].out};
        expect_path(NULL, cases[i].path, "");
    }
}

/* Relative names are made absolute once and for all. */
static void test_relative(void **state)
{
    char here[PATH_MAX], expected[2 * PATH_MAX];

    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    options = (struct hpp_agent_options){.out = ""};
    snprintf(expected, sizeof expected, "%s/hpprof.app.42.pb", here);
    expect_path(NULL, expected, "");
    options.out = "sub/%p.pb";
    snprintf(expected, sizeof expected, "%s/sub/42.pb", here);
    expect_path(NULL, expected, "");
    assert_int_equal(chdir("/"), 0);
    expect_path(NULL, "/sub/42.pb", "");
    assert_int_equal(chdir(here), 0);
}

/* Descendants and sessions: in a folder, whatever was asked for by name. */
static void test_folders(void **state)
{
    (void)state;
    options = (struct hpp_agent_options){.out = "/var/x.pb"};
    expect_path("/var/x.d", "/var/x.d/hpprof.app.42.pb", "/var/x.d");
    options.session = "/tmp/session";
    expect_path("/var/x.d", "/tmp/session/hpprof.app.42.pb", "");
    expect_path(NULL, "/tmp/session/hpprof.app.42.pb", "");
}

/* Longer than there is room: cut, terminated, nothing beyond. */
static void test_long(void **state)
{
    char *out = malloc(3 * HPP_PATH_MAX);

    (void)state;
    out[0] = '/';
    for (int i = 1; i < 3 * HPP_PATH_MAX - 1; i++)
        out[i] = i % 2 ? '%' : 'e';
    out[3 * HPP_PATH_MAX - 1] = 0;
    options = (struct hpp_agent_options){.out = out};
    hpp_output_path(&file, &options, NULL, "a-program", 1);
    assert_int_equal(strlen(file.path), HPP_PATH_MAX - 1);
    hpp_output_path(&file, &options, out, "a-program", 1);
    assert_int_equal(strlen(file.path), HPP_PATH_MAX - 1);
    free(out);
}

static void test_folder_name(void **state)
{
    static const struct {
        const char *path, *folder;
    } cases[] = {
        {"/a/x.pb", "/a/x.d"}, {"/a/x.pb.1", "/a/x.pb.1.d"}, {"/a/x", "/a/x.d"}, {".pb", ".pb.d"}, {"", ".d"},
    };
    char folder[32];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hpp_output_folder(cases[i].path, folder, sizeof folder);
        assert_string_equal(folder, cases[i].folder);
    }
    hpp_output_folder("/a/long/path.pb", folder, 8);
    assert_string_equal(folder, "/a/long");
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static struct hpp_aggregate aggregate;
static char folder[] = "/tmp/hpprof-output-XXXXXX";

static int setup(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    file = (struct hpp_pprof_file){.fd = -1, .period = 1};
    snprintf(file.path, sizeof file.path, "%s/app.pb", folder);
    hpp_aggregate_init(&aggregate);
    return 0;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    hpp_arena_release(&aggregate.arena);
    hpp_arena_release(&file.scratch);
    if (file.fd >= 0)
        close(file.fd);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* What a first chunk must be found in, and nothing else. */
static void opens(const char *name, mode_t mode)
{
    struct stat status;

    assert_int_equal(hpp_pprof_append(&file, &aggregate), 0);
    assert_string_equal(file.path + strlen(folder) + 1, name);
    assert_int_equal(lstat(file.path, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(status.st_mode & 07777, mode);
    assert_int_equal(status.st_size, file.size);
    assert_true(file.size > 0);
}

static void fails(int error)
{
    char path[HPP_PATH_MAX];

    strcpy(path, file.path);
    assert_int_equal(hpp_pprof_append(&file, &aggregate), error);
    assert_string_equal(file.path, path); /* what was asked for, to be named in a complaint */
    assert_int_equal(file.fd, -1);
    assert_int_equal(file.last_error, error);
}

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    fputs(text, out);
    fclose(out);
}

/* What exists is left as it is, a dangling link included; a suffix tells the new one apart. */
static void test_existing(void **state)
{
    char path[HPP_PATH_MAX], target[64], text[16];
    FILE *in;

    (void)state;
    write_file(file.path, "precious");
    snprintf(path, sizeof path, "%s/app.pb.1", folder);
    snprintf(target, sizeof target, "%s/nowhere", folder);
    assert_int_equal(symlink(target, path), 0);
    opens("app.pb.2", 0600);
    assert_int_equal(access(target, F_OK), -1);
    snprintf(path, sizeof path, "%s/app.pb", folder);
    in = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, in));
    assert_string_equal(text, "precious");
    fclose(in);
}

/* The folder is made when it is needed, and not before; who comes second finds it there. */
static void test_made_folder(void **state)
{
    struct stat status;
    char made[64];

    (void)state;
    snprintf(made, sizeof made, "%s/app.d", folder);
    for (int process = 0; process < 2; process++) {
        file = (struct hpp_pprof_file){.fd = -1, .period = 1, .folder = made};
        snprintf(file.path, sizeof file.path, "%s/app.d/child.pb", folder);
        assert_int_equal(access(made, F_OK), process - 1);
        opens(process ? "app.d/child.pb.1" : "app.d/child.pb", 0600);
        assert_int_equal(stat(made, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0700);
        close(file.fd);
    }
    file.fd = -1;
}

static void test_no_folder(void **state)
{
    char parent[64], made[80];

    (void)state;
    snprintf(parent, sizeof parent, "%s/none", folder);
    snprintf(made, sizeof made, "%s/app.d", parent);
    snprintf(file.path, sizeof file.path, "%s/app.pb", parent);
    fails(-ENOENT);
    write_file(parent, "");
    fails(-ENOTDIR);
    file.folder = made;
    fails(-ENOTDIR);
    unlink(parent);
    fails(-ENOENT); /* only the last folder of a path is made */
    file.folder = NULL;
    mkdir(parent, 0700);
    opens("none/app.pb", 0600);
}

static void test_no_name_left(void **state)
{
    (void)state;
    memset(file.path, 'x', sizeof file.path - 1);
    fails(-ENAMETOOLONG);
    snprintf(file.path, sizeof file.path, "%s", folder); /* a folder is no file */
    fails(-EISDIR);
    snprintf(file.path, sizeof file.path, "/dev/full"); /* nor does a device have a neighbour */
    fails(-EEXIST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_process),
        cmocka_unit_test(test_relative),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_folder_name),
        TEST(test_existing),
        TEST(test_made_folder),
        TEST(test_no_folder),
        TEST(test_no_name_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
