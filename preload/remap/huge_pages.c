/* Whether huge pages can be had, and whether they were. Start-up code and writer. */
#include "preload/remap/huge_pages.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/sys.h"
#include "common/text.h"
#include "common/proc_file.h"
#include "profiler/signal_safe.h"

/* In all 0.75 ms for 2 MiB: who holds a page for a moment may need our processor. */
#define COLLAPSE_WAIT     50000ull
#define COLLAPSE_WAIT_MAX 400000ull

const char *hpp_huge_pages_disabled(void)
{
    return HPP_SYSCALL(prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0, 0) == 1
               ? "huge pages are disabled for this process (PR_SET_THP_DISABLE)"
               : NULL;
}

const char *hpp_huge_pages_refused(long *error)
{
    const char *reason = hpp_huge_pages_disabled();
    char text[128];
    long result;

    if (reason)
        return reason;
    result = hpp_proc_file_read("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text);
    if (result < 0) {
        *error = result;
        return "no /sys/kernel/mm/transparent_hugepage/enabled can be read";
    }
    for (const char *at = text; *at; at++)
        if (hpp_text_after(at, "[never]"))
            return "transparent huge pages are off (/sys/kernel/mm/transparent_hugepage/enabled is never)";
    return NULL;
}

/* Hexadecimal, as in the first fields of a line of smaps. */
static uint64_t hex(const char **at)
{
    uint64_t value = 0;

    for (; hpp_text_hex_digit(**at) >= 0; (*at)++)
        value = value << 4 | (uint64_t)hpp_text_hex_digit(**at);
    return value;
}

/* What is looked for in smaps, which tells a sum for each mapping. */
struct smaps_look {
    uint64_t start, end;
    uint64_t low, high; /* the mapping whose lines come */
    uint64_t bytes;
    struct hpp_chunks *chunks;
};

static void smaps_line(struct smaps_look *look, const char *line)
{
    static const char *const keys[] = {
        "AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:", "Private_Hugetlb:", "Shared_Hugetlb:"};
    const char *at = line;
    uint64_t first = hex(&at);

    if (at != line && *at == '-') {
        at++;
        look->low = first;
        look->high = hex(&at);
        return;
    }
    if (look->low < look->start || look->high > look->end)
        return;
    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *number = hpp_text_after(line, keys[i]);
        uint64_t bytes = number ? hpp_proc_file_number(number) << 10 : 0;
        look->bytes += bytes;
        if (!bytes || !look->chunks || bytes != look->high - look->low)
            continue;
        for (uint64_t huge = look->low; huge < look->high; huge += HPP_HUGE_PAGE)
            hpp_chunk_set(look->chunks, (huge - look->start) / HPP_HUGE_PAGE);
    }
}

/* Has each 2 MiB of [START, END) be a mapping of its own: what tells neighbours apart is how they say that
 * they are read, of which nothing comes in so short a time. */
static void tell_apart(uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end; at += HPP_HUGE_PAGE)
        hpp_sys_madvise(at, HPP_HUGE_PAGE, at & HPP_HUGE_PAGE ? MADV_RANDOM : MADV_SEQUENTIAL);
}

/* Through /proc/self/smaps, which walks the whole process: for kernels before 6.7. */
static uint64_t read_smaps(uint64_t start, uint64_t end, struct hpp_chunks *chunks)
{
    char buffer[4096], line[128];
    struct hpp_text text = HPP_TEXT(line);
    struct smaps_look look = {.start = start, .end = end, .chunks = chunks};
    long fd = hpp_sys_open("/proc/self/smaps", O_RDONLY, 0);
    long count;

    if (fd < 0)
        return 0;
    tell_apart(start, end);
    while ((count = hpp_sys_read((int)fd, buffer, sizeof buffer)) > 0) {
        for (long i = 0; i < count; i++) {
            if (buffer[i] != '\n') {
                hpp_text_put_bytes(&text, buffer + i, 1);
                continue;
            }
            smaps_line(&look, line);
            text = HPP_TEXT(line);
        }
    }
    hpp_sys_madvise(start, end - start, MADV_NORMAL);
    hpp_sys_close((int)fd);
    return look.bytes;
}

uint64_t hpp_huge_pages_in(uint64_t start, uint64_t end)
{
    int64_t bytes = hpp_pagemap_find(start, end, HPP_PAGE_HUGE, NULL);
    return bytes >= 0 ? (uint64_t)bytes : read_smaps(start, end, NULL);
}

void hpp_huge_chunks(uint64_t start, uint64_t end, struct hpp_chunks *chunks)
{
    *chunks = (struct hpp_chunks){{0}};
    if (hpp_pagemap_find(start, end, HPP_PAGE_HUGE, chunks) >= 0)
        return;
    *chunks = (struct hpp_chunks){{0}}; /* it may have got halfway */
    read_smaps(start, end, chunks);
}

long hpp_huge_collapse(uint64_t at, uint64_t size)
{
    uint32_t nothing = 0; /* nobody wakes it */
    long error = hpp_sys_madvise(at, size, MADV_COLLAPSE);

    for (uint64_t ns = COLLAPSE_WAIT; error == -EAGAIN && ns <= COLLAPSE_WAIT_MAX; ns *= 2) {
        hpp_sys_futex_wait(&nothing, 0, ns);
        error = hpp_sys_madvise(at, size, MADV_COLLAPSE); /* madvise(2): try again */
    }
    return error;
}

long hpp_faults_with_reads(void)
{
    struct rusage usage = {0};

    HPP_SYSCALL(getrusage, RUSAGE_THREAD, &usage, 0, 0, 0, 0);
    return usage.ru_majflt;
}
