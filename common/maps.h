/* Reads this process's memory map from /proc/self/maps, line by line, without libc. Start-up code
 * and writer (which shares the target's memory, so its own map is the target's). */
#ifndef HPP_COMMON_MAPS_H
#define HPP_COMMON_MAPS_H

#include <stdint.h>

/* One line of proc_pid_maps(5). */
struct hpp_maps_line {
    uint64_t start;
    uint64_t end;
    uint64_t offset;
    uint64_t device; /* major << 32 | minor, as printed: comparable only with other lines */
    uint64_t inode;
    int readable;
    int writable;
    int executable;
    int shared; /* what others write to it is seen */
    char *path; /* "" for anonymous memory; without " (deleted)"; valid until the next call */
};

struct hpp_maps {
    int fd;
    unsigned begin; /* unread part of buffer */
    unsigned end;
    char buffer[8192];
};

/* Returns 0 or -errno. Every successful open needs a close. */
int hpp_maps_open(struct hpp_maps *maps);
void hpp_maps_close(struct hpp_maps *maps);

/* The next line: returns 1, 0 at the end, or -errno. Lines too long for the buffer are passed over. */
int hpp_maps_next(struct hpp_maps *maps, struct hpp_maps_line *line);

/* Whether all of [START, END) is mapped, by lines of each of which IS says yes; or -errno. */
int hpp_maps_all(uint64_t start, uint64_t end,
                 int (*is)(const void *context, const struct hpp_maps_line *line), const void *context);

#endif
