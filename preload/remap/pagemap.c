/* Asks /proc/self/pagemap: include/uapi/linux/fs.h, Documentation/admin-guide/mm/pagemap.rst. */
#include "preload/remap/pagemap.h"

#include <errno.h>

#include "common/sys.h"
#include "profiler/signal_safe.h"

struct pagemap_scan {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t regions;
    uint64_t region_count;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_any;
    uint64_t return_mask;
};
struct pagemap_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};
#define PAGEMAP_SCAN_CALL 0xc0606610ul /* _IOWR('f', 16, struct pm_scan_arg) */
#define IS_FILE           (1u << 2)
#define IS_PRESENT        (1u << 3)
#define IS_SWAPPED        (1u << 4)
#define IS_HUGE           (1u << 6)
#define REGIONS           32
#define PAGE              4096u
/* of an entry, of which the file has one a page */
#define ENTRY_FILE        (1ull << 61) /* or shared */
#define ENTRY_SWAPPED     (1ull << 62)
#define ENTRY_PRESENT     (1ull << 63)

static int64_t add(const struct pagemap_region *regions, long count, uint64_t start,
                   struct hpp_chunks *chunks)
{
    int64_t bytes = 0;

    for (long i = 0; i < count; i++) {
        bytes += (int64_t)(regions[i].end - regions[i].start);
        for (uint64_t at = regions[i].start; chunks && at < regions[i].end; at += HPP_HUGE_PAGE)
            hpp_chunk_set(chunks, (at - start) / HPP_HUGE_PAGE);
        if (chunks && regions[i].end > regions[i].start)
            hpp_chunk_set(chunks, (regions[i].end - 1 - start) / HPP_HUGE_PAGE);
    }
    return bytes;
}

/* The private pages of [START, END), whole 2 MiB, entry by entry. */
static int64_t read_private(int fd, uint64_t start, uint64_t end, struct hpp_chunks *chunks)
{
    uint64_t entries[HPP_HUGE_PAGE / PAGE];
    int64_t bytes = 0;

    for (uint64_t at = start; at < end; at += HPP_HUGE_PAGE) {
        int64_t before = bytes;
        long count = hpp_sys_pread(fd, entries, sizeof entries, at / PAGE * sizeof *entries);
        if (count != (long)sizeof entries)
            return count < 0 ? count : -EIO;
        for (uint64_t i = 0; i < HPP_HUGE_PAGE / PAGE; i++)
            if (entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED) && !(entries[i] & ENTRY_FILE))
                bytes += PAGE;
        if (chunks && bytes != before)
            hpp_chunk_set(chunks, (at - start) / HPP_HUGE_PAGE);
    }
    return bytes;
}

int64_t hpp_pagemap_find(uint64_t start, uint64_t end, enum hpp_page_kind kind, struct hpp_chunks *chunks)
{
    struct pagemap_region regions[REGIONS];
    struct pagemap_scan scan = {.size = sizeof scan,
                                .end = end,
                                .regions = (uint64_t)(uintptr_t)regions,
                                .region_count = REGIONS,
                                .category_mask = IS_HUGE,
                                .return_mask = IS_HUGE};
    long fd = hpp_sys_open("/proc/self/pagemap", O_RDONLY, 0);
    int64_t bytes = 0;
    long count = 0;

    if (fd < 0)
        return fd;
    if (kind == HPP_PAGE_PRIVATE) {
        scan.category_inverted = scan.category_mask = scan.return_mask = IS_FILE;
        scan.category_any = IS_PRESENT | IS_SWAPPED;
    }
    for (uint64_t at = start; at < end; at = scan.walk_end) {
        scan.start = at;
        count = HPP_SYSCALL(ioctl, fd, PAGEMAP_SCAN_CALL, &scan, 0, 0, 0);
        if (count < 0)
            break;
        bytes += add(regions, count, start, chunks);
        if (scan.walk_end <= at)
            break;
    }
    if (count == -ENOTTY && kind == HPP_PAGE_PRIVATE) /* before Linux 6.7 */
        count = bytes = read_private((int)fd, start, end, chunks);
    hpp_sys_close((int)fd);
    return count < 0 ? count : bytes;
}
