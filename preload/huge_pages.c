/* Whether huge pages can be had, and whether they were. Start-up code. */
#include "preload/huge_pages.h"

#include <errno.h>
#include <sys/prctl.h>

#include "common/sys.h"
#include "common/text.h"
#include "preload/proc_file.h"

/* include/uapi/linux/fs.h, Linux 6.7: ioctl(PAGEMAP_SCAN) */
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
#define PAGE_IS_HUGE_BIT  (1u << 6)

const char *hpp_huge_pages_refused(void)
{
    char text[128];

    if (HPP_SYSCALL(prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0, 0) == 1)
        return "huge pages are disabled for this process (PR_SET_THP_DISABLE)";
    if (hpp_proc_file_read("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text) < 0)
        return "this kernel has no transparent huge pages";
    for (const char *at = text; *at; at++)
        if (hpp_text_after(at, "[never]"))
            return "transparent huge pages are off (/sys/kernel/mm/transparent_hugepage/enabled is never)";
    return NULL;
}

/* Through PAGEMAP_SCAN. Returns the bytes, or -errno where the kernel has no such call. */
static int64_t scan_pagemap(uint64_t start, uint64_t end)
{
    struct pagemap_region regions[32];
    struct pagemap_scan scan = {.size = sizeof scan,
                                .end = end,
                                .regions = (uint64_t)(uintptr_t)regions,
                                .region_count = 32,
                                .category_mask = PAGE_IS_HUGE_BIT,
                                .return_mask = PAGE_IS_HUGE_BIT};
    long fd = hpp_sys_open("/proc/self/pagemap", O_RDONLY, 0);
    int64_t bytes = 0;
    long count = 0;

    if (fd < 0)
        return fd;
    while (start < end) {
        scan.start = start;
        count = HPP_SYSCALL(ioctl, fd, PAGEMAP_SCAN_CALL, &scan, 0, 0, 0);
        if (count < 0)
            break;
        for (long i = 0; i < count; i++)
            bytes += (int64_t)(regions[i].end - regions[i].start);
        if (scan.walk_end <= start)
            break;
        start = scan.walk_end;
    }
    hpp_sys_close((int)fd);
    return count < 0 ? count : bytes;
}

/* Hexadecimal, as in the first fields of a line of smaps. */
static uint64_t hex(const char **at)
{
    uint64_t value = 0;

    for (;; (*at)++) {
        char c = **at;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return value;
    }
}

/* One line of smaps: remembers the range it heads, and returns the bytes that it adds. */
static uint64_t smaps_line(const char *line, uint64_t range[2], uint64_t start, uint64_t end)
{
    const char *at = line;
    uint64_t low = hex(&at);
    const char *huge = hpp_text_after(line, "AnonHugePages:");

    if (huge && range[0] >= start && range[1] <= end)
        return hpp_proc_file_number(huge) << 10;
    if (at != line && *at == '-') {
        at++;
        range[0] = low;
        range[1] = hex(&at);
    }
    return 0;
}

/* Through /proc/self/smaps, which walks the whole process: for kernels before 6.7. */
static uint64_t read_smaps(uint64_t start, uint64_t end)
{
    char buffer[4096], line[128];
    struct hpp_text text = HPP_TEXT(line);
    uint64_t range[2] = {0, 0}, bytes = 0;
    long fd = hpp_sys_open("/proc/self/smaps", O_RDONLY, 0);
    long count;

    if (fd < 0)
        return 0;
    while ((count = hpp_sys_read((int)fd, buffer, sizeof buffer)) > 0) {
        for (long i = 0; i < count; i++) {
            if (buffer[i] != '\n') {
                hpp_text_put_bytes(&text, buffer + i, 1);
                continue;
            }
            bytes += smaps_line(line, range, start, end);
            text = HPP_TEXT(line);
        }
    }
    hpp_sys_close((int)fd);
    return bytes;
}

uint64_t hpp_huge_pages_in(uint64_t start, uint64_t end)
{
    int64_t bytes = scan_pagemap(start, end);
    return bytes >= 0 ? (uint64_t)bytes : read_smaps(start, end);
}
