/* Copies of text: names, whose folders and files are relied on, and that what was changed is not. */
#include "common/text_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define NAME "00112233445566778899aabbccddeeff00112233-0123456789abcdef"

static char root[] = "/tmp/hpprof-texts-XXXXXX";
static struct hpp_text_record record;
static const char *reason;

static int remove_path(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static const char *at(const char *name)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void put(const char *name, const void *bytes, size_t size, mode_t mode)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void write_record(void)
{
    unlink(at(NAME "/" HPP_TEXT_CACHE_RECORD));
    put(NAME "/" HPP_TEXT_CACHE_RECORD, &record, sizeof record, 0444);
}

/* A folder with one copy, as it is made. */
static int setup(void **state)
{
    struct stat status;

    (void)state;
    strcpy(root + strlen(root) - 6, "XXXXXX");
    if (!mkdtemp(root) || mkdir(at(NAME), 0755))
        return -1;
    put(NAME "/app", "text", 4, 0444);
    stat(at(NAME "/app"), &status);
    record = (struct hpp_text_record){.magic = HPP_TEXT_CACHE_MAGIC, .name = "app", .path = "/bin/app"};
    hpp_text_identify(&status, &record.copy);
    record.copy.device = 0;
    write_record();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return nftw(root, remove_path, 16, FTW_DEPTH | FTW_PHYS);
}

/* What a load of the copy comes to: 0, or -errno and reason. */
static int load(void)
{
    struct hpp_text_record read;
    struct hpp_cache_folder cache;
    char text[8] = "";
    int fd;

    assert_int_equal(hpp_cache_folder_open(&cache, &hpp_text_cache_kind, root, 1, &reason), 0);
    fd = hpp_text_cache_load(&cache, NAME, &read, &reason);
    close(cache.fd);
    if (fd < 0)
        return fd;
    assert_int_equal(pread(fd, text, sizeof text, 0), 4);
    assert_string_equal(text, "text");
    assert_memory_equal(&read, &record, sizeof read);
    close(fd);
    return 0;
}

static void refuses(const char *because)
{
    assert_true(load() < 0);
    assert_string_equal(reason, because);
}

static void test_directory(void **state)
{
    char directory[64], tight[8];

    (void)state;
    assert_int_equal(hpp_text_cache_directory(directory, sizeof directory, NULL), 0);
    assert_string_equal(directory, HPP_TEXT_CACHE_FOLDER);
    assert_int_equal(hpp_text_cache_directory(directory, sizeof directory, ""), 0);
    assert_string_equal(directory, HPP_TEXT_CACHE_FOLDER);
    assert_int_equal(hpp_text_cache_directory(directory, sizeof directory, "/a/b///"), 0);
    assert_string_equal(directory, "/a/b");
    assert_int_equal(hpp_text_cache_directory(directory, sizeof directory, "///"), 0);
    assert_string_equal(directory, "/");
    assert_int_equal(hpp_text_cache_directory(directory, sizeof directory, "off"), -ENOENT);
    assert_int_equal(hpp_text_cache_directory(directory, sizeof directory, "a/b"), -EINVAL);
    assert_string_equal(directory, "");
    assert_int_equal(hpp_text_cache_directory(tight, sizeof tight, "/too/long"), -ENAMETOOLONG);
    assert_string_equal(tight, "");
}

static int count_entry(void *context, const struct hpp_cache_entry *entry)
{
    unsigned *seen = context;

    seen[entry->partial]++;
    assert_int_equal(entry->build_id_size, entry->partial ? 2 : 20);
    return 0;
}

static void test_names(void **state)
{
    static const char *others[] = {
        "0123",
        "0123-",
        "-0123456789abcdef",
        "012-0123456789abcdef",
        "zz-0123456789abcdef",
        "0123-0123456789abcde",
        "0123-0123456789abcdef0",
        "0123-0123456789abcdef.0123",
        "0123-0123456789abcdef.0123456789abcdef0",
        "text",
    };
    unsigned seen[2] = {0};
    struct hpp_cache_folder cache;

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(mkdir(at(others[i]), 0755), 0);
    assert_int_equal(mkdir(at("0123-0123456789abcdef.0123456789abcdef"), 0755), 0);
    assert_int_equal(hpp_cache_folder_open(&cache, &hpp_text_cache_kind, root, 1, &reason), 0);
    for (int again = 0; again < 2; again++)
        assert_int_equal(hpp_cache_visit(&cache, count_entry, seen), 0);
    close(cache.fd);
    assert_int_equal(seen[0], 2);
    assert_int_equal(seen[1], 2);
}

static void test_is_copy(void **state)
{
    static const uint8_t id[20] = {0,    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
                                   0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0,    0x11, 0x22, 0x33};

    (void)state;
    assert_true(hpp_text_cache_is_copy("/var/cache/" NAME "/app", id, 20));
    assert_true(hpp_text_cache_is_copy(NAME "/app", id, 20));
    assert_false(hpp_text_cache_is_copy("/var/cache/" NAME "/app", id, 19));
    assert_false(hpp_text_cache_is_copy("/var/cache/" NAME "/app", id + 1, 19));
    assert_false(hpp_text_cache_is_copy("/var/cache/" NAME "/a/app", id, 20));
    assert_false(hpp_text_cache_is_copy("/var/cache/" NAME, id, 20));
    assert_false(hpp_text_cache_is_copy("/app", id, 20));
    assert_false(hpp_text_cache_is_copy("app", id, 20));
    assert_false(hpp_text_cache_is_copy("", id, 20));
}

static void test_modes(void **state)
{
    struct hpp_cache_folder cache;

    (void)state;
    assert_int_equal(load(), 0);
    assert_int_equal(chmod(at(NAME), 0775), 0);
    refuses("others may write to the folder");
    assert_int_equal(chmod(at(NAME), 0755), 0);
    assert_int_equal(chmod(at(NAME "/" HPP_TEXT_CACHE_RECORD), 0644), 0);
    refuses("it may be written to");
    assert_int_equal(chmod(at(NAME "/" HPP_TEXT_CACHE_RECORD), 0444), 0);
    assert_int_equal(chmod(at(NAME "/app"), 0644), 0);
    refuses("it may be written to");
    assert_int_equal(chmod(at(""), 0777), 0);
    assert_int_equal(hpp_cache_folder_open(&cache, &hpp_text_cache_kind, root, 1, &reason), -EPERM);
    assert_string_equal(reason, "others may write to the folder");
    assert_int_equal(chmod(at(""), 0755), 0);
    /* below a folder in which others may put another in its place */
    assert_int_equal(mkdir(at("open"), 0777), 0);
    assert_int_equal(chmod(at("open"), 0777), 0);
    assert_int_equal(mkdir(at("open/texts"), 0755), 0);
    assert_int_equal(hpp_cache_folder_open(&cache, &hpp_text_cache_kind, at("open/texts"), 1, &reason),
                     -EPERM);
    assert_string_equal(reason, "a folder above it belongs to another user, or others may write to it");
    assert_int_equal(chmod(at("open"), 01777), 0);
    assert_int_equal(hpp_cache_folder_open(&cache, &hpp_text_cache_kind, at("open/texts"), 1, &reason), 0);
    close(cache.fd);
}

static void test_links(void **state)
{
    struct hpp_cache_folder cache;

    (void)state;
    assert_int_equal(symlink(NAME, at("link")), 0);
    assert_true(hpp_cache_folder_open(&cache, &hpp_text_cache_kind, at("link"), 1, &reason) < 0);
    assert_string_equal(reason, "the folder is a symbolic link, or no folder");
    assert_true(hpp_cache_folder_open(&cache, &hpp_text_cache_kind, at("missing"), 1, &reason) < 0);
    put("other", "text", 4, 0444);
    assert_int_equal(unlink(at(NAME "/app")), 0);
    refuses("No such file or directory");
    assert_int_equal(symlink("../other", at(NAME "/app")), 0);
    refuses("it is a symbolic link");
    unlink(at(NAME "/app"));
    assert_int_equal(mkfifo(at(NAME "/app"), 0444), 0);
    refuses("it is not a regular file");
}

static void test_records(void **state)
{
    static const char damaged[] = "its record is damaged, or of another version";
    const struct hpp_text_record good = record;

    (void)state;
    record.magic++;
    write_record();
    refuses(damaged);
    record = good;
    strcpy(record.name, "../" NAME "/app");
    write_record();
    refuses(damaged);
    record.name[0] = 0;
    write_record();
    refuses(damaged);
    record = good;
    unlink(at(NAME "/" HPP_TEXT_CACHE_RECORD));
    put(NAME "/" HPP_TEXT_CACHE_RECORD, &record, sizeof record - 1, 0444);
    refuses(damaged);
    write_record();
    assert_int_equal(load(), 0);
}

static void test_changed(void **state)
{
    static const char changed[] = "it was changed after it was made";
    const struct hpp_text_record good = record;

    (void)state;
    record.copy.size++;
    write_record();
    refuses(changed);
    record = good;
    record.copy.inode++;
    write_record();
    refuses(changed);
    record = good;
    record.copy.modified--;
    write_record();
    refuses(changed);
    /* it could be written to for a moment: contents, mode and time may have been put back, the kernel's own
     * tells */
    record = good;
    write_record();
    assert_int_equal(load(), 0);
    usleep(20000);
    assert_int_equal(chmod(at(NAME "/app"), 0644), 0);
    assert_int_equal(chmod(at(NAME "/app"), 0444), 0);
    refuses(changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test(test_is_copy),
        cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
