/* See mlock.h. Only half of RLIMIT_MEMLOCK is ours, whoever we are: the rest is for what the program pins
 * itself, also when it has given up its privileges. */
#include "preload/remap/mlock.h"

#include <errno.h>
#include <sys/resource.h>

#include "common/sys.h"
#include "common/proc_file.h"
#include "preload/remap/pagemap.h"
#include "profiler/sampler.h"
#include "profiler/signal_safe.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#define PAGE 4096u

static struct {
    enum hpp_remap_lock what;
    int pid;
    uint64_t locked;
} lock;

void hpp_mlock_begin(enum hpp_remap_lock what)
{
    if (lock.pid != hpp_sampler.pid)
        lock.locked = 0;
    lock.pid = hpp_sampler.pid;
    lock.what = what;
}

/* How much more we may pin, in whole huge pages. The writer has limits of its own, which count, but it is
 * the program's that are changed. */
static uint64_t room(void)
{
    uint64_t limit = RLIM_INFINITY;
    const int pids[] = {0, lock.pid};

    for (unsigned i = 0; i < sizeof pids / sizeof pids[0]; i++) {
        struct rlimit its = {RLIM_INFINITY, RLIM_INFINITY};
        if (!HPP_SYSCALL(prlimit64, pids[i], RLIMIT_MEMLOCK, NULL, &its, 0, 0) && its.rlim_cur < limit)
            limit = its.rlim_cur;
    }
    if (limit == RLIM_INFINITY)
        return limit;
    return limit / 2 > lock.locked ? (limit / 2 - lock.locked) & ~(HPP_HUGE_PAGE - 1) : 0;
}

/* What is pinned cannot be made cold (Linux 5.4: mm/madvise.c, can_madv_lru_vma); nothing else comes of that.
 * Kernels before refuse it everywhere. */
static int is_pinned(uint64_t at)
{
    char text[4096];
    const char *pinned = hpp_proc_file_read("/proc/self/status", text, sizeof text) > 0
                             ? hpp_proc_file_line(text, "VmLck:")
                             : NULL;

    return pinned && hpp_proc_file_number(pinned) && hpp_sys_madvise(at, PAGE, MADV_COLD) == -EINVAL;
}

int hpp_mlock_like(uint64_t stage, uint64_t text, uint64_t size)
{
    return is_pinned(text) ? (int)HPP_SYSCALL(mlock, stage, size, 0, 0, 0, 0) : 0;
}

void hpp_mlock_range(uint64_t start, uint64_t end, struct hpp_remap_record *record)
{
    uint64_t size = end - start, most;
    long error = 0;

    if (lock.what != HPP_REMAP_LOCK_TEXT)
        return;
    most = room();
    if (size > most) {
        size = most;
        record->not_locked = "half of RLIMIT_MEMLOCK is reached";
    }
    if (size)
        error = HPP_SYSCALL(mlock, start, size, 0, 0, 0, 0);
    if (error) {
        HPP_SYSCALL(munlock, start, size, 0, 0, 0, 0);
        size = 0;
        record->not_locked = error == -ENOMEM || error == -EPERM
                                 ? "the program itself has used RLIMIT_MEMLOCK"
                                 : "mlock failed";
    }
    record->locked = size;
    lock.locked += size;
}
