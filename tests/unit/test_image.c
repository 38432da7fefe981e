/* The image record of this very process, and what later scans make of it. */
#include "common/image.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/maps.h"

enum { PAGE = 4096 };

static struct hpp_arena images, maps[2];

static const struct hpp_code_map *scan(const struct hpp_code_map *before)
{
    static int which;
    const struct hpp_code_map *map = NULL;

    which = !which;
    if (before)
        hpp_arena_reset(&maps[which]);
    assert_int_equal(hpp_image_scan(&images, &maps[which], before, getauxval(AT_ENTRY), &map), 0);
    assert_non_null(map);
    if (map == before)
        which = !which;
    return map;
}

static const struct hpp_segment *segment_at(const struct hpp_code_map *map, const void *address)
{
    const struct hpp_code_range *range = hpp_image_find(map, (uint64_t)(uintptr_t)address);
    return range ? range->segment : NULL;
}

/* Sorted, without overlap, a serial of its own for each. */
static void check_map(const struct hpp_code_map *map)
{
    unsigned char *seen = calloc(map->serials, 1);

    for (uint32_t i = 0; i < map->count; i++) {
        const struct hpp_code_range *range = &map->ranges[i];
        assert_true(range->start < range->end);
        assert_true(i == 0 || map->ranges[i - 1].end <= range->start);
        assert_int_equal(range->start, range->segment->start);
        assert_int_equal(range->end, range->segment->end);
        assert_in_range(range->segment->file_end, range->start, range->end);
        assert_true(range->segment->serial < map->serials);
        assert_false(seen[range->segment->serial]++);
    }
    free(seen);
}

static int teardown(void **state)
{
    (void)state;
    hpp_arena_release(&maps[0]);
    hpp_arena_release(&maps[1]);
    hpp_arena_release(&images);
    return 0;
}

static void test_own(void **state)
{
    const struct hpp_code_map *map = scan(NULL);
    const struct hpp_segment *main = segment_at(map, (void *)&test_own), *vdso, *libc;
    char exe[PAGE];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    Dl_info info;

    (void)state;
    check_map(map);
    exe[length] = 0;
    assert_non_null(main);
    assert_int_equal(main->serial, 0);
    assert_int_equal(main->image->kind, HPP_IMAGE_FILE);
    assert_string_equal(main->image->path, exe);
    assert_true(dladdr((void *)&test_own, &info));
    /* the distance from the file's beginning is that of the offsets: our segments lie as in the file */
    assert_int_equal(main->start - (uint64_t)(uintptr_t)info.dli_fbase, main->file_offset);
    vdso = segment_at(map, (void *)getauxval(AT_SYSINFO_EHDR));
    assert_non_null(vdso);
    assert_int_equal(vdso->image->kind, HPP_IMAGE_VDSO);
    assert_string_equal(vdso->image->path, "[vdso]");
    assert_true(vdso->image->build_id_size > 0);
    libc = segment_at(map, dlsym(RTLD_DEFAULT, "gnu_get_libc_version"));
    assert_non_null(libc);
    assert_non_null(strstr(libc->image->path, "libc"));
    assert_true(libc->image->build_id_size > 0);
    assert_null(segment_at(map, NULL));
    assert_null(segment_at(map, &images)); /* data */
    assert_null(segment_at(map, &length));
    assert_null(hpp_image_find(NULL, main->start));
}

/* Each executable line of the map that is a file's lies in a segment of that file, at the right offset. */
static void test_all_lines(void **state)
{
    const struct hpp_code_map *map = scan(NULL);
    struct hpp_maps reader;
    struct hpp_maps_line line;
    unsigned lines = 0;

    (void)state;
    assert_int_equal(hpp_maps_open(&reader), 0);
    while (hpp_maps_next(&reader, &line) > 0) {
        const struct hpp_segment *segment = segment_at(map, (void *)line.start);
        if (!line.executable || line.path[0] != '/')
            continue;
        assert_non_null(segment);
        assert_string_equal(segment->image->path, line.path);
        assert_true(line.end <= segment->end);
        assert_int_equal(segment->file_offset + (line.start - segment->start), line.offset);
        assert_int_equal(segment->image->inode, line.inode);
        lines++;
    }
    hpp_maps_close(&reader);
    assert_in_range(lines, 2, 1000);
}

static void test_find_edges(void **state)
{
    const struct hpp_code_map *map = scan(NULL);

    (void)state;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct hpp_code_range *range = &map->ranges[i];
        assert_ptr_equal(hpp_image_find(map, range->start), range);
        assert_ptr_equal(hpp_image_find(map, range->end - 1), range);
        assert_ptr_not_equal(hpp_image_find(map, range->end), range);
        assert_ptr_not_equal(hpp_image_find(map, range->start - 1), range);
    }
    assert_null(hpp_image_find(map, UINT64_MAX));
}

/* Nothing changed: the same map. A library more: known segments stay what they are. And gone again. */
static void test_library(void **state)
{
    const struct hpp_code_map *before = scan(NULL), *with, *without, *again;
    uint32_t count = before->count, serials = before->serials;
    const struct hpp_segment *main = segment_at(before, (void *)&test_own), *added;
    void *library, *symbol;

    (void)state;
    assert_ptr_equal(scan(before), before);
    library = dlopen("libresolv.so.2", RTLD_NOW);
    assert_non_null(library);
    symbol = dlsym(library, "inet_net_ntop");
    assert_non_null(symbol);
    assert_null(segment_at(before, symbol));
    with = scan(before);
    check_map(with);
    added = segment_at(with, symbol);
    assert_non_null(added);
    assert_non_null(strstr(added->image->path, "libresolv"));
    assert_true(added->serial >= serials);
    assert_true(added->image->build_id_size > 0);
    assert_ptr_equal(segment_at(with, (void *)&test_own), main);
    assert_int_equal(main->serial, 0);
    assert_true(with->count > count);
    serials = with->serials;
    assert_ptr_equal(scan(with), with);
    dlclose(library);
    without = scan(with);
    assert_ptr_not_equal(without, with);
    check_map(without);
    assert_null(segment_at(without, symbol));
    assert_int_equal(without->count, count);
    assert_int_equal(without->serials, serials);  /* serials are never given twice */
    assert_int_equal(added->serial, serials - 1); /* what was found stays readable */
    library = dlopen("libresolv.so.2", RTLD_NOW);
    again = scan(without);
    assert_int_equal(segment_at(again, dlsym(library, "inet_net_ntop"))->serial, serials);
    dlclose(library);
}

static void *map_code(void *at, size_t size, int fd)
{
    int flags = MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0) | (at ? MAP_FIXED : 0);
    void *made = mmap(at, size, PROT_READ | PROT_EXEC, flags, fd, 0);

    assert_ptr_not_equal(made, MAP_FAILED);
    return made;
}

/* Code made at run time, in memory that grows and moves. */
static void test_anonymous(void **state)
{
    char *room = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct hpp_code_map *map = scan(NULL), *next;
    const struct hpp_segment *first;

    (void)state;
    assert_null(segment_at(map, room + 16 * PAGE));
    map_code(room + 16 * PAGE, PAGE, -1);
    map = scan(map);
    first = segment_at(map, room + 16 * PAGE);
    assert_non_null(first);
    assert_int_equal(first->image->kind, HPP_IMAGE_ANONYMOUS);
    assert_string_equal(first->image->path, "//anon");
    assert_int_equal(first->image->build_id_size, 0);
    map_code(room + 17 * PAGE, 7 * PAGE, -1); /* one line with the page before */
    map = scan(map);
    check_map(map);
    assert_ptr_equal(segment_at(map, room + 16 * PAGE), first);
    for (int page = 17; page < 24; page++)
        assert_non_null(segment_at(map, room + page * PAGE));
    assert_null(segment_at(map, room + 24 * PAGE));
    next = scan(map);
    assert_ptr_equal(next, map);
    map_code(room + 8 * PAGE, 8 * PAGE, -1); /* before it */
    map = scan(map);
    check_map(map);
    for (int page = 8; page < 24; page++)
        assert_non_null(segment_at(map, room + page * PAGE));
    munmap(room, 64 * PAGE);
    map = scan(map);
    check_map(map);
    assert_null(segment_at(map, room + 16 * PAGE));
}

/* Files that are not ELF, and those that have no name any more. */
static void test_other_files(void **state)
{
    char name[] = "/tmp/hpprof-code-XXXXXX";
    int file = mkstemp(name), memory = memfd_create("code", 0);
    const struct hpp_code_map *map = scan(NULL);
    const struct hpp_segment *segment;
    void *plain, *anonymous;

    (void)state;
    assert_int_equal(ftruncate(file, 2 * PAGE) | ftruncate(memory, PAGE), 0);
    plain = map_code(NULL, 2 * PAGE, file);
    anonymous = map_code(NULL, PAGE, memory);
    map = scan(map);
    check_map(map);
    segment = segment_at(map, plain);
    assert_non_null(segment);
    assert_string_equal(segment->image->path, name);
    assert_int_equal(segment->end - segment->start, 2 * PAGE);
    assert_int_equal(segment->image->build_id_size, 0);
    unlink(name);
    assert_non_null(segment_at(map, anonymous));
    assert_ptr_equal(scan(map), map);
    munmap(plain, 2 * PAGE);
    munmap(anonymous, PAGE);
    close(file);
    close(memory);
}

/* Some pages of the program's text once more, elsewhere: they are what is there, and no whole segment, which
 * would claim what lies around them. */
static void test_mapped_again(void **state)
{
    int file = open("/proc/self/exe", O_RDONLY);
    const struct hpp_code_map *map = scan(NULL);
    const struct hpp_segment *main = segment_at(map, (void *)&test_own), *again;
    uint64_t offset = main->file_offset + PAGE;
    char *room = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at = room + 16 * PAGE;

    (void)state;
    assert_true(main->end - main->start > 3 * PAGE);
    assert_ptr_equal(mmap(at, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, (off_t)offset),
                     at);
    map = scan(map);
    check_map(map);
    assert_ptr_equal(segment_at(map, (void *)&test_own), main);
    again = segment_at(map, at);
    assert_non_null(again);
    assert_int_equal(again->start, (uint64_t)(uintptr_t)at);
    assert_int_equal(again->end - again->start, 2 * PAGE);
    assert_int_equal(again->file_offset, offset);
    assert_int_equal(again->link, main->link + PAGE);
    assert_string_equal(again->image->path, main->image->path);
    assert_ptr_equal(scan(map), map);
    munmap(room, 64 * PAGE);
    close(file);
}

/* A segment keeps its file when its pages have been moved; other anonymous code there is something else. */
static void test_moved(void **state)
{
    int file = open("/proc/self/exe", O_RDONLY);
    char *at = map_code(NULL, 2 * PAGE, file);
    const struct hpp_code_map *map = scan(NULL), *next;
    const struct hpp_segment *segment = segment_at(map, at);

    (void)state;
    assert_non_null(segment);
    assert_int_equal(segment->image->kind, HPP_IMAGE_FILE);
    map_code(at, 2 * PAGE, -1);
    next = scan(map);
    assert_int_equal(segment_at(next, at)->image->kind, HPP_IMAGE_ANONYMOUS);
    munmap(at, 2 * PAGE);
    map_code(at, 2 * PAGE, file);
    map = scan(NULL);
    segment = segment_at(map, at);
    ((struct hpp_segment *)segment)->moved = 1;
    map_code(at, 2 * PAGE, -1);
    next = scan(map);
    assert_ptr_equal(next, map);
    assert_ptr_equal(segment_at(next, at), segment);
    munmap(at, 2 * PAGE);
    close(file);
}

/* Where there is no memory the scan says so, and what was before stays. */
static void test_no_memory(void **state)
{
    struct hpp_arena tight = {.limit = 1}, roomy = {0};
    const struct hpp_code_map *map;

    (void)state;
    assert_true(hpp_image_scan(&roomy, &tight, NULL, 0, &map) < 0);
    assert_true(hpp_image_scan(&tight, &roomy, NULL, 0, &map) < 0);
    hpp_arena_release(&roomy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),        cmocka_unit_test(test_all_lines),
        cmocka_unit_test(test_find_edges), cmocka_unit_test(test_library),
        cmocka_unit_test(test_anonymous),  cmocka_unit_test(test_other_files),
        cmocka_unit_test(test_moved),      cmocka_unit_test(test_mapped_again),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
