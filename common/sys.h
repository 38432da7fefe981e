/* The system calls that the agent makes, as raw calls: they return the result or -errno and leave
 * libc's errno alone, so that handler, writer and start-up code can use them. */
#ifndef HPP_COMMON_SYS_H
#define HPP_COMMON_SYS_H

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "common/arch.h"

/* What headers older than these kernels lack. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000 /* Linux 4.17 */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* Linux 6.5, on every architecture */
#endif

#define HPP_SYSCALL(name, a, b, c, d, e, f) \
    hpp_arch_syscall(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* The kernel's struct sigaction (arch/x86/include/uapi/asm/signal.h), which is not libc's. */
struct hpp_kernel_sigaction {
    void *handler;
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

/* getdents64(2) */
struct hpp_kernel_directory_entry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

static inline long hpp_sys_open(const char *path, int flags, int mode)
{
    return HPP_SYSCALL(openat, AT_FDCWD, path, flags | O_CLOEXEC, mode, 0, 0);
}

static inline long hpp_sys_close(int fd)
{
    return HPP_SYSCALL(close, fd, 0, 0, 0, 0, 0);
}

static inline long hpp_sys_read(int fd, void *to, size_t size)
{
    return HPP_SYSCALL(read, fd, to, size, 0, 0, 0);
}

static inline long hpp_sys_pread(int fd, void *to, size_t size, uint64_t offset)
{
    return HPP_SYSCALL(pread64, fd, to, size, offset, 0, 0);
}

static inline long hpp_sys_write(int fd, const void *from, size_t size)
{
    return HPP_SYSCALL(write, fd, from, size, 0, 0, 0);
}

static inline long hpp_sys_fstat(int fd, struct stat *status)
{
    return HPP_SYSCALL(newfstatat, fd, "", status, AT_EMPTY_PATH, 0, 0);
}

/* Memory. Results that are addresses are tested with hpp_sys_failed. */
static inline long hpp_sys_mmap(void *at, size_t size, int protection, int flags, int fd, uint64_t offset)
{
    return HPP_SYSCALL(mmap, at, size, protection, flags, fd, offset);
}

static inline int hpp_sys_failed(long result)
{
    return (unsigned long)result > -4096UL;
}

static inline long hpp_sys_munmap(uint64_t at, size_t size)
{
    return HPP_SYSCALL(munmap, at, size, 0, 0, 0, 0);
}

static inline long hpp_sys_mprotect(uint64_t at, size_t size, int protection)
{
    return HPP_SYSCALL(mprotect, at, size, protection, 0, 0, 0);
}

static inline long hpp_sys_madvise(uint64_t at, size_t size, int advice)
{
    return HPP_SYSCALL(madvise, at, size, advice, 0, 0, 0);
}

/* How much the page cache has of the SIZE bytes of the file FD from OFFSET on, in pages, those that are being
 * read among them (mincore(2) leaves those out, and takes longer); -errno where the kernel does not tell: it
 * does the file's owner. */
static inline long hpp_sys_cached_pages(int fd, uint64_t offset, uint64_t size)
{
    const uint64_t range[2] = {offset, size};
    uint64_t counts[5] = {0}; /* the first: pages that are there */
    long error = HPP_SYSCALL(cachestat, fd, range, counts, 0, 0, 0);

    return error ? error : (long)counts[0];
}

static inline long hpp_sys_mremap_fixed(uint64_t from, size_t size, uint64_t to)
{
    return HPP_SYSCALL(mremap, from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to, 0);
}

static inline int hpp_sys_getpid(void)
{
    return (int)HPP_SYSCALL(getpid, 0, 0, 0, 0, 0, 0);
}

static inline int hpp_sys_gettid(void)
{
    return (int)HPP_SYSCALL(gettid, 0, 0, 0, 0, 0, 0);
}

static inline uint64_t hpp_sys_now(clockid_t clock)
{
    struct timespec now = {0, 0};
    HPP_SYSCALL(clock_gettime, clock, &now, 0, 0, 0, 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The CPU clocks of another process, and of a thread: include/linux/posix-timers_types.h (CPUCLOCK_SCHED,
 * CPUCLOCK_PERTHREAD). */
static inline clockid_t hpp_sys_process_clock(int pid)
{
    return (clockid_t)(~(uint32_t)pid << 3 | 2);
}

static inline clockid_t hpp_sys_thread_clock(int tid)
{
    return (clockid_t)(~(uint32_t)tid << 3 | 6);
}

/* The kernel's tick, at which alone it looks at CPU timers, ns. */
static inline uint64_t hpp_sys_tick(void)
{
    struct timespec tick = {0, 0};
    HPP_SYSCALL(clock_getres, CLOCK_MONOTONIC_COARSE, &tick, 0, 0, 0, 0);
    return tick.tv_nsec > 0 ? (uint64_t)tick.tv_nsec : 10000000;
}

/* Futexes on 32-bit words that two processes with one memory share. */
static inline void hpp_sys_futex_wake(void *word)
{
    HPP_SYSCALL(futex, word, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
}

/* Sleeps while *WORD is VALUE, for at most NS. */
static inline void hpp_sys_futex_wait(void *word, uint32_t value, uint64_t ns)
{
    struct timespec timeout = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    HPP_SYSCALL(futex, word, FUTEX_WAIT, value, &timeout, 0, 0);
}

/* Sets the calling thread's signal mask to *MASK and gives the old one to *OLD (either may be NULL). */
static inline long hpp_sys_sigmask(int how, const uint64_t *mask, uint64_t *old)
{
    return HPP_SYSCALL(rt_sigprocmask, how, mask, old, sizeof *mask, 0, 0);
}

static inline long hpp_sys_sigaction(int signal, const struct hpp_kernel_sigaction *action,
                                     struct hpp_kernel_sigaction *old)
{
    return HPP_SYSCALL(rt_sigaction, signal, action, old, sizeof action->mask, 0, 0);
}

/* Copies SIZE bytes at ADDRESS of this very memory without touching them itself: unmapped memory gives
 * -EFAULT, not a signal. Returns the number of bytes copied, or -errno. */
static inline long hpp_sys_copy_own_memory(void *to, uint64_t address, size_t size)
{
    struct iovec local = {to, size};
    struct iovec remote = {(void *)address, size};
    return HPP_SYSCALL(process_vm_readv, hpp_sys_getpid(), &local, 1, &remote, 1, 0);
}

#endif
