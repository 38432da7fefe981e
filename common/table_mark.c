/* See table_mark.h. Writer and offline; raw system calls only. */
#include "common/table_mark.h"

#include "common/sys.h"

#define BILLION   1000000000u
#define USE_EVERY (24 * 3600ll)

/* What is other after each boot (proc_sys_kernel(5)); 0: that cannot be known. */
static uint64_t boot(void)
{
    static uint64_t known;
    char id[40];
    long fd, count;

    if (known)
        return known;
    fd = hpp_sys_open("/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
    if (fd < 0)
        return 0;
    count = hpp_sys_read((int)fd, id, sizeof id);
    hpp_sys_close((int)fd);
    for (long i = 0; i < count; i++)
        known = (known ^ (uint8_t)id[i]) * 0x100000001b3ull; /* FNV-1a, near enough */
    return known;
}

/* The mark of the file with STATUS; -1: none can be made. */
static long mark_of(const struct stat *status)
{
    uint64_t hash = boot();

    if (!hash)
        return -1;
    hash = (hash ^ status->st_ino) * 0x9e3779b97f4a7c15ull;
    hash = (hash ^ hash >> 32 ^ (uint64_t)status->st_size) * 0x9e3779b97f4a7c15ull;
    return (long)((hash >> 32) % BILLION);
}

int hpp_table_is_marked(const struct stat *status)
{
    return status->st_mtim.tv_nsec == mark_of(status);
}

void hpp_table_mark(int fd, const struct stat *status, int is_intact, int is_use)
{
    int64_t now = (int64_t)(hpp_sys_now(CLOCK_REALTIME) / BILLION), age = now - status->st_mtim.tv_sec;
    int is_old = is_use && (age > USE_EVERY || age < -USE_EVERY);
    long mark = is_intact ? mark_of(status) : -1;
    struct timespec times[2] = {{0, UTIME_OMIT}, status->st_mtim};

    if (!is_old && (mark < 0 || status->st_mtim.tv_nsec == mark))
        return;
    if (is_old)
        times[1].tv_sec = (time_t)now;
    if (mark >= 0)
        times[1].tv_nsec = mark;
    HPP_SYSCALL(utimensat, fd, NULL, times, 0, 0, 0);
}
