/* The reader of /proc/self/maps: every line as libc's own scanner reads it. */
#include "common/maps.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>

/* Reads all lines of FD (a descriptor of its own). Returns how many; *LINES and their paths are malloc'ed. */
static size_t read_all(int fd, struct hpp_maps_line **lines)
{
    struct hpp_maps maps = {.fd = fd};
    struct hpp_maps_line line;
    size_t count = 0;
    int more;

    *lines = NULL;
    while ((more = hpp_maps_next(&maps, &line)) > 0) {
        *lines = realloc(*lines, (count + 1) * sizeof line);
        line.path = strdup(line.path);
        (*lines)[count++] = line;
    }
    assert_int_equal(more, 0);
    hpp_maps_close(&maps);
    return count;
}

static void free_all(struct hpp_maps_line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(lines[i].path);
    free(lines);
}

/* A file of its own with the given text, open at its beginning. */
static int file_of(const char *text, size_t size)
{
    int fd = memfd_create("maps", 0);

    assert_int_equal(write(fd, text, size), size);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void compare(const struct hpp_maps_line *line, char *text)
{
    uint64_t start, end, offset, inode;
    unsigned high, low;
    char access[5];
    int path = 0;
    size_t length;

    text[strcspn(text, "\n")] = 0;
    assert_int_equal(sscanf(text, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &start,
                            &end, access, &offset, &high, &low, &inode, &path),
                     7);
    assert_int_equal(line->start, start);
    assert_int_equal(line->end, end);
    assert_int_equal(line->offset, offset);
    assert_int_equal(line->inode, inode);
    assert_int_equal(line->device, (uint64_t)high << 32 | low);
    assert_int_equal(line->readable, access[0] == 'r');
    assert_int_equal(line->writable, access[1] == 'w');
    assert_int_equal(line->executable, access[2] == 'x');
    assert_int_equal(line->shared, access[3] == 's');
    length = strlen(text + path);
    if (length > 10 && !strcmp(text + path + length - 10, " (deleted)"))
        text[path + (int)length - 10] = 0;
    assert_string_equal(line->path, text + path);
}

/* A copy of /proc/self/maps, taken by read(2) alone: to open a stream would change the map. */
static char *snapshot(size_t *size)
{
    enum { ROOM = 4 << 20 };
    char *text = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open("/proc/self/maps", O_RDONLY);
    ssize_t count;

    *size = 0;
    while ((count = read(fd, text + *size, ROOM - *size - 1)) > 0)
        *size += (size_t)count;
    close(fd);
    return text;
}

/* Mappings of all kinds, a long name, a deleted file, and enough of them for many buffers. */
static void test_own_map(void **state)
{
    enum { PAGES = 600 };
    char name[] = "/tmp/hpprof maps XXXXXX", longer[241], *text, *at;
    int file = mkstemp(name);
    struct hpp_maps_line *lines;
    size_t size, count, index = 0, executables = 0;
    char *many = mmap(NULL, PAGES * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    for (int i = 0; i < PAGES; i += 2)
        mprotect(many + i * 4096, 4096, i % 4 ? PROT_NONE : PROT_READ | PROT_WRITE);
    assert_int_equal(ftruncate(file, 8192), 0);
    assert_ptr_not_equal(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 4096), MAP_FAILED);
    unlink(name);
    memset(longer, 'n', sizeof longer);
    strcpy(longer + 230, " (deleted)");
    int named = memfd_create(longer, 0);
    assert_int_equal(ftruncate(named, 4096), 0);
    assert_ptr_not_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, named, 0), MAP_FAILED);
    text = snapshot(&size);
    count = read_all(file_of(text, size), &lines);
    at = text;
    for (char *next; (next = strchr(at, '\n')); at = next + 1, index++) {
        assert_true(index < count);
        executables += (size_t)lines[index].executable;
        compare(&lines[index], at);
        assert_true(index == 0 || lines[index - 1].end <= lines[index].start);
    }
    assert_int_equal(index, count);
    assert_true(count > PAGES - 1);
    assert_true(executables > 2);
    free_all(lines, count);
    munmap(many, PAGES * 4096);
    close(file);
    close(named);
}

/* The live file: our own text, this page of stack and nothing else are where they are. */
static void test_live(void **state)
{
    struct hpp_maps maps;
    struct hpp_maps_line line;
    uint64_t code = (uint64_t)(uintptr_t)&test_live, local = (uint64_t)(uintptr_t)&line;
    int found = 0, more;

    (void)state;
    assert_int_equal(hpp_maps_open(&maps), 0);
    assert_true(fcntl(maps.fd, F_GETFD) & FD_CLOEXEC);
    while ((more = hpp_maps_next(&maps, &line)) > 0) {
        if (code >= line.start && code < line.end)
            found += line.executable && !line.writable && line.inode && line.path[0] == '/';
        if (local >= line.start && local < line.end)
            found += line.writable && !line.executable && !line.inode;
    }
    assert_int_equal(more, 0);
    hpp_maps_close(&maps);
    assert_int_equal(found, 2);
}

/* Lines that are none are passed over, and so are lines that no buffer holds. */
static void test_odd_lines(void **state)
{
    static const char text[] = "\n"
                               "nonsense\n"
                               "1000-2000\n"
                               "1000-2000 r\n"
                               "1000-2000 r-xp\n"
                               "1000-2000 r-xp 0 0:0\n"
                               "-2000 r-xp 0 0:0 0 \n"
                               "1000-2000 r-xp g 0:0 0 \n"
                               "1000-2000 r-xp 3000 fd:01 77 \n"
                               "2000-3000 rw-p 4000 00:00 0                  (deleted)\n"
                               "3000-4000 ---p 0 0:0 5   /a b (deleted) (deleted)\n";
    struct hpp_maps_line *lines;
    size_t count = read_all(file_of(text, sizeof text - 1), &lines);

    (void)state;
    assert_int_equal(count, 3);
    assert_int_equal(lines[0].offset, 0x3000);
    assert_int_equal(lines[0].inode, 77);
    assert_int_equal(lines[0].device, 0xfdull << 32 | 1);
    assert_string_equal(lines[0].path, "");
    assert_string_equal(lines[1].path, "(deleted)");
    assert_string_equal(lines[2].path, "/a b (deleted)");
    free_all(lines, count);
}

static void test_long_lines(void **state)
{
    static const size_t lengths[] = {4000, 8100, 8191, 8192, 8193, 16384, 100000};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t size = 0;
        char *text = malloc(lengths[i] + 200);
        struct hpp_maps_line *lines;
        size_t count;
        size += (size_t)sprintf(text, "1000-2000 r-xp 0 0:0 1 /");
        memset(text + size, 'x', lengths[i]);
        size += lengths[i];
        size += (size_t)sprintf(text + size, "\n2000-3000 r-xp 0 0:0 2 /last\n");
        count = read_all(file_of(text, size), &lines);
        assert_true(count >= 1);
        assert_string_equal(lines[count - 1].path, "/last");
        assert_int_equal(count, lengths[i] < 8150 ? 2 : 1);
        free_all(lines, count);
        free(text);
    }
}

static void test_noise(void **state)
{
    static const char alphabet[] = "0123456789abcdef- rwxp:/\n\n";

    (void)state;
    srandom(3);
    for (int round = 0; round < 300; round++) {
        char text[20000];
        struct hpp_maps_line *lines;
        size_t size = (size_t)random() % sizeof text, count;
        for (size_t i = 0; i < size; i++)
            text[i] = round % 2 ? alphabet[(size_t)random() % (sizeof alphabet - 1)] : (char)random();
        count = read_all(file_of(text, size), &lines);
        free_all(lines, count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_map),    cmocka_unit_test(test_live),  cmocka_unit_test(test_odd_lines),
        cmocka_unit_test(test_long_lines), cmocka_unit_test(test_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
