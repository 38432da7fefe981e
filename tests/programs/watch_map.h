/* The memory map that watch_text looks at: what text and data were there at first, and whether they still
 * are. */
#ifndef WATCH_MAP_H
#define WATCH_MAP_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TEXTS = 64, DATA = 8, PIECE = 1 << 20 };

struct text {
    unsigned long start, end;
    unsigned char *bytes;
};

static struct text texts[TEXTS], data[DATA];
static int text_count, data_count;
static struct {
    unsigned long looks, compared, wrong;
} seen;

static void wrong(const char *what, const char *detail)
{
    if (seen.wrong++ < 20)
        fprintf(stderr, "watch_text: %s%s\n", what, detail);
}

static FILE *open_map(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return fopen(path, "re");
}

static int read_memory(pid_t pid, unsigned long at, void *to, size_t size)
{
    struct iovec here = {to, size}, there = {(void *)at, size};

    return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

/* What is to stay: all that is executable and of a file. */
static void note_text(pid_t pid)
{
    char line[PATH_MAX + 256], mode[5];
    unsigned long start, end, inode;
    FILE *maps = open_map(pid, "maps");

    while (maps && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, mode, &inode) != 4 || mode[2] != 'x' ||
            mode[1] == 'w' || !inode || text_count == TEXTS)
            continue;
        texts[text_count] = (struct text){start, end, malloc(end - start)};
        if (!texts[text_count].bytes || !read_memory(pid, start, texts[text_count].bytes, end - start))
            wrong("cannot be read: ", line);
        text_count++;
    }
    if (maps)
        fclose(maps);
}

/* The program's .data, and its .bss, which has no file and is not the heap. */
static void note_data(pid_t pid)
{
    char line[PATH_MAX + 256], mode[5], exe[64], program[PATH_MAX] = "";
    unsigned long start, end, inode;
    FILE *maps = open_map(pid, "maps");

    snprintf(exe, sizeof exe, "/proc/%d/exe", pid);
    if (readlink(exe, program, sizeof program - 1) < 0)
        program[0] = 0;
    while (maps && fgets(line, sizeof line, maps)) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, mode, &inode) != 4 || mode[1] != 'w' ||
            data_count == DATA)
            continue;
        if (!inode && !strchr(line, '[') && data_count && data[data_count - 1].end == start)
            data[data_count - 1].end = end;
        else if (inode && *program && strstr(line, program))
            data[data_count++] = (struct text){start, end, NULL};
    }
    if (maps)
        fclose(maps);
}

static int is_in(const struct text *ranges, int ranges_count, unsigned long at)
{
    for (int i = 0; i < ranges_count; i++)
        if (at >= ranges[i].start && at < ranges[i].end)
            return 1;
    return 0;
}

/* The first address of each of RANGES that MAP does not show mapped as ACCESS: its end, if all of it is. */
static void reach(FILE *map, const struct text *ranges, int ranges_count, const char *access,
                  unsigned long *reached)
{
    char line[PATH_MAX + 256], mode[5];
    unsigned long start, end;

    for (int i = 0; i < ranges_count; i++)
        reached[i] = ranges[i].start;
    rewind(map);
    while (fgets(line, sizeof line, map)) {
        if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3 || strncmp(mode, access, 3))
            continue;
        for (int i = 0; i < ranges_count; i++)
            if (start <= reached[i] && end > reached[i])
                reached[i] = end;
    }
}

/* Returns whether MAP shows all of RANGES mapped as ACCESS. Where WHAT, which says when, is given, it is
 * wrong if not.
 */
static int look_at(FILE *map, const struct text *ranges, int ranges_count, const char *access,
                   const char *what)
{
    unsigned long reached[TEXTS];
    char detail[128];
    int is_whole = 1;

    reach(map, ranges, ranges_count, access, reached);
    for (int i = 0; i < ranges_count; i++) {
        if (reached[i] >= ranges[i].end)
            continue;
        is_whole = 0;
        snprintf(detail, sizeof detail, "no %s at %lx of %lx-%lx", ranges == data ? "data" : "text",
                 reached[i], ranges[i].start, ranges[i].end);
        if (what)
            wrong(what, detail);
    }
    return is_whole;
}

/* Returns whether all text is there; it and data must be, but for WHAT NULL. Since Linux 6.17 maps is read
 * without the lock of the memory map: what another thread's mremap replaces at that moment is missing there,
 * so smaps, which takes it, decides.
 */
static int is_there(pid_t pid, FILE *maps, const char *what)
{
    FILE *smaps;
    int is_whole;

    if (look_at(maps, texts, text_count, "r-x", NULL) && look_at(maps, data, data_count, "rw-", NULL))
        return 1;
    smaps = open_map(pid, "smaps");
    if (!smaps) {
        wrong("smaps cannot be read", "");
        return 0;
    }
    is_whole = look_at(smaps, texts, text_count, "r-x", what);
    look_at(smaps, data, data_count, "rw-", what);
    fclose(smaps);
    return is_whole;
}

/* Whether the whole memory map is right, but for a hole where HAS_HOLE. Returns whether all text is there. */
static int look(pid_t pid, const char *moment, unsigned long call, int has_hole)
{
    char line[PATH_MAX + 256], mode[5], what[128];
    FILE *maps = open_map(pid, "maps");
    int is_whole;

    if (!maps)
        return 0;
    snprintf(what, sizeof what, "%s call %lu of thread %d: ", moment, call, pid);
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%*x-%*x %4s", mode) == 1 && mode[1] == 'w' && mode[2] == 'x')
            wrong(what, line);
    is_whole = is_there(pid, maps, has_hole ? NULL : what);
    fclose(maps);
    seen.looks++;
    return is_whole;
}

static void compare(pid_t pid)
{
    static unsigned char bytes[PIECE];

    for (int i = 0; i < text_count; i++) {
        for (unsigned long at = texts[i].start, size; at < texts[i].end; at += size) {
            size = texts[i].end - at < PIECE ? texts[i].end - at : PIECE;
            if (!read_memory(pid, at, bytes, size) ||
                memcmp(bytes, texts[i].bytes + (at - texts[i].start), size))
                wrong("text is not what it was", "");
        }
    }
    seen.compared++;
}

#endif
