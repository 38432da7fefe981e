/* The target's side of the writer: starting it, hiding it, ending it. Runs on the target's threads. */
#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/sys.h"
#include "profiler/books.h"
#include "profiler/sampler.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define MS                  1000000ull
#define STACK_SIZE          (128u << 10)
#define TLS_SIZE            (16u << 10) /* libc's thread-local variables lie below the thread pointer */
#define THREAD_BLOCK        4096u       /* and its thread descriptor above */
#define PROCESS_MEMORY      (STACK_SIZE + TLS_SIZE + THREAD_BLOCK)
#define FIRST_SCAN_INTERVAL (50 * MS)
#define FINISH_SECONDS      5

/* Where the kernel clears the calling thread's id when it goes (libc's own word: pthread_join). */
static uint32_t *tid_address(void)
{
    uint32_t *address = NULL;
    return HPP_SYSCALL(prctl, PR_GET_TID_ADDRESS, &address, 0, 0, 0, 0) ? NULL : address;
}

/* Memory for a process that shares ours: its stack, and above that its thread block (*THREAD). */
static uint8_t *make_stack(void ***thread)
{
    uint8_t *memory = hpp_arena_map(PROCESS_MEMORY);

    if (!memory)
        return NULL;
    hpp_sys_madvise((uint64_t)(uintptr_t)memory, PROCESS_MEMORY, MADV_DONTFORK);
    *thread = (void **)(memory + STACK_SIZE + TLS_SIZE);
    (*thread)[0] = (*thread)[2] =
        *thread; /* tcbhead_t: tcb, self (System V ABI for x86-64: %fs:0 is itself) */
    return memory;
}

/* Starts FUNCTION in a process that shares our memory. It is born with every signal blocked: none of the
 * target's handlers may run in it. Returns its pid or -errno. */
static long start_process(unsigned long flags, int (*function)(void *))
{
    const uint64_t all = UINT64_MAX;
    uint64_t mask;
    void **thread;
    uint8_t *memory = make_stack(&thread);
    long pid;

    if (!memory)
        return -ENOMEM;
    hpp_sys_sigmask(SIG_SETMASK, &all, &mask);
    pid = hpp_arch_clone(flags | CLONE_VM | CLONE_UNTRACED | CLONE_SETTLS, memory + STACK_SIZE, thread,
                         function, NULL);
    hpp_sys_sigmask(SIG_SETMASK, &mask, NULL);
    if (pid < 0 || flags & CLONE_VFORK) /* then it is over already */
        hpp_sys_munmap((uint64_t)(uintptr_t)memory, PROCESS_MEMORY);
    return pid;
}

int hpp_writer_start(void)
{
    long pid;

    hpp_writer.pid = 0;
    hpp_writer.target = hpp_sys_getpid();
    hpp_writer.main_tid = tid_address();
    hpp_writer.last_flush = hpp_writer.last_scan = hpp_writer.last_sample = hpp_sys_now(CLOCK_MONOTONIC);
    hpp_writer.scan_interval = atomic_load(&hpp_sampler.code) ? FIRST_SCAN_INTERVAL : 0;
    pid = start_process(0, hpp_writer_run);
    if (pid < 0)
        return (int)pid;
    hpp_writer.pid = (int)pid;
    return 0;
}

/* The process ends: takes leave of the writer, which is about to end, so that it is no work for whoever
 * adopts it. */
static void reap_writer(void)
{
    while (HPP_SYSCALL(wait4, hpp_writer.pid, NULL, __WCLONE, NULL, 0, 0) == -EINTR)
        ;
}

/* Whether the writer process itself is gone: someone killed it. */
static int writer_died(void)
{
    if (hpp_writer.is_hidden)
        return HPP_SYSCALL(kill, hpp_writer.pid, 0, 0, 0, 0, 0) == -ESRCH;
    return HPP_SYSCALL(wait4, hpp_writer.pid, NULL, WNOHANG | __WCLONE, NULL, 0, 0) == hpp_writer.pid;
}

/* Has the writer stop in the way WISH and waits until it says that it is done. Returns 0 or -errno. */
static int stop_writer(enum hpp_writer_wish wish)
{
    struct hpp_writer *writer = &hpp_writer;
    uint64_t until = hpp_sys_now(CLOCK_MONOTONIC) + FINISH_SECONDS * 1000 * MS;

    atomic_store(&writer->stop, wish);
    atomic_fetch_add(&writer->wake, 1);
    hpp_sys_futex_wake(&writer->wake);
    while (!atomic_load(&writer->done)) {
        hpp_sys_futex_wait(&writer->done, 0, 50 * MS);
        if (atomic_load(&writer->done))
            break;
        if (writer_died())
            return -ECHILD;
        if (hpp_sys_now(CLOCK_MONOTONIC) > until)
            return -ETIMEDOUT;
    }
    return 0;
}

/* Where there is no writer process, this one writes. A limit on files' sizes must not end it: the signal is
 * taken before it is delivered. */
static int write_here(void)
{
    const uint64_t all = UINT64_MAX, too_large = 1ull << (SIGXFSZ - 1);
    const struct timespec at_once = {0, 0};
    uint64_t mask, before = 0;

    hpp_sys_sigmask(SIG_SETMASK, &all, &mask);
    HPP_SYSCALL(rt_sigpending, &before, sizeof before, 0, 0, 0, 0);
    hpp_books_look();
    hpp_writer_drain();
    hpp_writer_flush("exit");
    hpp_pprof_close(&hpp_writer.file, 0);
    if (!(before & too_large))
        HPP_SYSCALL(rt_sigtimedwait, &too_large, NULL, &at_once, sizeof too_large, 0, 0);
    hpp_sys_sigmask(SIG_SETMASK, &mask, NULL);
    return hpp_writer.file.last_error;
}

int hpp_writer_finish(void)
{
    struct hpp_writer *writer = &hpp_writer;
    int error;

    if (!writer->pid) {
        return write_here();
    }
    error = stop_writer(HPP_WRITER_END);
    if (error)
        return error;
    if (!writer->is_hidden && atomic_load(&writer->done) == HPP_WRITER_GOES)
        reap_writer();
    return writer->file.last_error;
}

int hpp_writer_flush_now(void)
{
    struct hpp_writer *writer = &hpp_writer;
    uint64_t until = hpp_sys_now(CLOCK_MONOTONIC) + FINISH_SECONDS * 1000 * MS;
    uint32_t asked, done;

    if (!writer->pid)
        return -ESRCH;
    asked = atomic_fetch_add(&writer->flush_asked, 1) + 1;
    atomic_fetch_add(&writer->wake, 1);
    hpp_sys_futex_wake(&writer->wake);
    while ((int32_t)((done = atomic_load(&writer->flush_done)) - asked) < 0) {
        if (hpp_sys_now(CLOCK_MONOTONIC) > until)
            return -ETIMEDOUT;
        hpp_sys_futex_wait(&writer->flush_done, done, 50 * MS);
    }
    return writer->file.last_error;
}

/* ---- hiding ------------------------------------------------------------------------------------------- */

/* Runs in a process that ends at once, so that the writer is nobody's child. */
static int start_orphan(void *unused)
{
    long pid = start_process(0, hpp_writer_run);

    (void)unused;
    hpp_writer.pid = pid < 0 ? 0 : (int)pid;
    return 0;
}

void hpp_writer_hide(void)
{
    struct hpp_writer *writer = &hpp_writer;
    long between;

    if (!writer->pid || atomic_exchange(&writer->is_hidden, 1) || stop_writer(HPP_WRITER_HAND_OVER))
        return;
    HPP_SYSCALL(wait4, writer->pid, NULL, __WCLONE, NULL, 0, 0);
    writer->pid = 0;
    atomic_store(&writer->stop, HPP_WRITER_RUN);
    atomic_store(&writer->done, 0);
    hpp_pprof_reopen(&writer->file);
    between = start_process(CLONE_VFORK, start_orphan);
    if (between > 0)
        HPP_SYSCALL(wait4, between, NULL, __WCLONE, NULL, 0, 0);
    if (writer->pid && writer->file.fd >= 0)
        hpp_sys_close(writer->file.fd);
}
