/* The writer process: how it becomes one, its waiting, its end. See writer.h; its work is in drain.c. */
#include "profiler/writer.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/sys.h"
#include "common/text.h"
#include "profiler/books.h"
#include "profiler/budget.h"
#include "profiler/sampler.h"
#include "profiler/source.h"
#include "profiler/tables.h"
#include "profiler/signal_safe.h"

#define MS 1000000ull

#define MOMENT      (MS / 2)
#define TICK_FIRST  (4 * MS)
#define TICK_SOON   (10 * MS)
#define TICK_BUSY   (50 * MS)
#define TICK_IDLE   (400 * MS)
#define BUSY_FOR    (2000 * MS) /* after the last sample */
#define FLUSH_FIRST (250 * MS)
#define SOON        (2 * MS) /* before the first sample: time to find images and tables */

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* include/uapi/linux/futex.h, Linux 5.16 */
struct futex_waiter {
    uint64_t value;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
};
#define FUTEX_WAITER_32 2

struct hpp_writer hpp_writer;

/* Closes every descriptor but KEEP (-1: none). */
static void close_all_but(int keep)
{
    long error = 0;

    if (keep > 0)
        error = HPP_SYSCALL(close_range, 0, keep - 1, 0, 0, 0, 0);
    if (!error)
        error = HPP_SYSCALL(close_range, keep + 1, UINT32_MAX, 0, 0, 0, 0);
    for (int fd = 0; error && fd < 65536; fd++)
        if (fd != keep)
            hpp_sys_close(fd);
}

/* Whether /proc shows the process ids that we see: not in a namespace of ids without a /proc of its own. */
static int proc_is_ours(void)
{
    char link[16], number[16];
    struct hpp_text text = HPP_TEXT(number);
    long length = HPP_SYSCALL(readlinkat, AT_FDCWD, "/proc/self", link, sizeof link - 1, 0, 0);

    link[length > 0 ? length : 0] = 0;
    hpp_text_put_number(&text, (uint64_t)hpp_sys_getpid());
    return hpp_text_equal(link, number);
}

static void become_own_process(void)
{
    int none = 0;

    HPP_SYSCALL(prctl, PR_SET_NAME, "hpprof-writer", 0, 0, 0, 0);
    /* a session of its own: what ends the target's process group shall not cost the last samples */
    HPP_SYSCALL(setsid, 0, 0, 0, 0, 0, 0);
    HPP_SYSCALL(chdir, "/", 0, 0, 0, 0, 0);
    HPP_SYSCALL(sched_setscheduler, 0, SCHED_OTHER, &none, 0, 0, 0);
    hpp_writer.proc_is_ours = proc_is_ours();
    hpp_writer.pidfd = (int)HPP_SYSCALL(pidfd_open, hpp_writer.target, 0, 0, 0, 0, 0);
}

static void keep_rings_empty(void)
{
    hpp_writer_drain();
}

/* The profile stays below the limit on files' sizes that we inherit. The signal that exceeding it gives is
 * blocked, as all are. */
static void bound_file(void)
{
    struct rlimit limit;

    if (!HPP_SYSCALL(prlimit64, 0, RLIMIT_FSIZE, NULL, &limit, 0, 0) && limit.rlim_cur < hpp_writer.file.max)
        hpp_writer.file.max = limit.rlim_cur;
    hpp_writer.file.between = keep_rings_empty;
}

/* Whether the target has ended, or does within NS. */
static int target_died(long ns)
{
    struct pollfd poll = {.fd = hpp_writer.pidfd, .events = POLLIN};
    struct timespec timeout = {0, ns};

    if (hpp_writer.pidfd >= 0)
        return HPP_SYSCALL(ppoll, &poll, 1, &timeout, NULL, 0, 0) == 1;
    return HPP_SYSCALL(kill, hpp_writer.target, 0, 0, 0, 0, 0) == -ESRCH;
}

/* Field 23 of /proc/NAME/stat (proc_pid_stat(5)): the size of its memory, which anybody may read. */
static uint64_t memory_size(const char *path)
{
    char text[1024];
    const char *at = text, *name_end = NULL;
    uint64_t size = 0;
    long fd = hpp_sys_open(path, O_RDONLY, 0);
    long count = fd < 0 ? fd : hpp_sys_read((int)fd, text, sizeof text - 1);

    if (fd >= 0)
        hpp_sys_close((int)fd);
    text[count > 0 ? count : 0] = 0;
    for (; *at; at++)
        if (*at == ')')
            name_end = at;
    at = name_end ? name_end + 1 : "";
    for (int field = 2; *at && field < 23; at++)
        field += *at == ' ';
    for (; *at >= '0' && *at <= '9'; at++)
        size = size * 10 + (uint64_t)(*at - '0');
    return size;
}

/* The size of the target's memory. */
static uint64_t target_size(void)
{
    char path[64];
    struct hpp_text text = HPP_TEXT(path);

    hpp_text_put(&text, "/proc/");
    hpp_text_put_number(&text, (uint64_t)hpp_writer.target);
    hpp_text_put(&text, "/stat");
    return memory_size(path);
}

/* Whether the target's memory has the size of ours: one look can fall between two changes. */
static int has_same_size(void)
{
    for (int tries = 0; tries < 5; tries++)
        if (target_size() == memory_size("/proc/self/stat"))
            return 1;
    return 0;
}

/* Whether thread TID of the target has our memory: the same word at the same address. */
static int shares_memory(int tid)
{
    uint64_t own = (uint64_t)(uintptr_t)&hpp_writer ^ hpp_sys_now(CLOCK_MONOTONIC), seen = 0;
    static volatile uint64_t cookie;
    struct iovec local = {&seen, sizeof seen}, remote = {(void *)(uintptr_t)&cookie, sizeof cookie};
    long count;

    cookie = own;
    count = HPP_SYSCALL(process_vm_readv, tid, &local, 1, &remote, 1, 0);
    if (count == -EPERM ||
        count == -ENOSYS) /* we may not look: it changed its user, or became another's program */
        return !hpp_writer.proc_is_ours || has_same_size();
    return count == sizeof seen && seen == own;
}

/* Whether no thread of the target has our memory any more: it executes another program. */
static int target_execed(void)
{
    char path[64], entries[2048];
    struct hpp_text text = HPP_TEXT(path);
    int shared = 0;
    long fd, count;

    if (shares_memory(hpp_writer.target))
        return 0;
    if (!hpp_writer.proc_is_ours)
        return 1;
    hpp_text_put(&text, "/proc/");
    hpp_text_put_number(&text, (uint64_t)hpp_writer.target);
    hpp_text_put(&text, "/task");
    fd = hpp_sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return 1;
    while (!shared && (count = HPP_SYSCALL(getdents64, fd, entries, sizeof entries, 0, 0, 0)) > 0) {
        for (long at = 0; at < count;) {
            /* struct linux_dirent64: inode, offset (8 each), length (2), type (1), name */
            const char *name = entries + at + 19;
            int tid = 0;
            for (; *name >= '0' && *name <= '9'; name++)
                tid = tid * 10 + (*name - '0');
            shared |= tid && tid != hpp_writer.target && shares_memory(tid);
            at += *(const uint16_t *)(entries + at + 16);
        }
    }
    hpp_sys_close((int)fd);
    return !shared;
}

/* Why it is time to end, or NULL. */
static const char *end_cause(void)
{
    struct hpp_writer *writer = &hpp_writer;

    if (atomic_load(&writer->stop) == HPP_WRITER_END)
        return "exit";
    if (target_died(0))
        return "died";
    if (writer->main_tid && *(volatile uint32_t *)writer->main_tid) {
        return NULL;
    } else if (writer->main_tid) {
        /* the kernel woke one waiter: should that have been us, a joiner still waits */
        hpp_sys_futex_wake(writer->main_tid);
        writer->main_tid = NULL;
    }
    if (!target_execed())
        return NULL;
    /* a dying process lets go of its memory before its end can be seen, on a busy machine long before */
    return target_died(writer->proc_is_ours && !target_size() ? 900 * MS : 20 * MS) ? "died" : "exec";
}

/* Sleeps for at most NS, or until the target wants something, execs, or its main thread exits. */
static void wait_for_target(uint32_t wake, uint64_t ns)
{
    struct hpp_writer *writer = &hpp_writer;
    uint32_t tid = writer->main_tid ? *(volatile uint32_t *)writer->main_tid : 0;
    struct futex_waiter waiters[2] = {
        {wake, (uint64_t)(uintptr_t)&writer->wake, FUTEX_WAITER_32, 0},
        {tid, (uint64_t)(uintptr_t)writer->main_tid, FUTEX_WAITER_32, 0},
    };
    uint64_t until = hpp_sys_now(CLOCK_MONOTONIC) + ns;
    struct timespec timeout = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};

    if (tid && HPP_SYSCALL(futex_waitv, waiters, 2, 0, &timeout, CLOCK_MONOTONIC, 0) != -ENOSYS)
        return;
    hpp_sys_futex_wait(&writer->wake, wake, ns < TICK_BUSY ? ns : TICK_BUSY);
}

/* Many programs have ended in a moment: until then they are left alone, and spared what we would begin
 * with. */
static void wait_a_moment(void)
{
    uint32_t wake = atomic_load(&hpp_writer.wake);

    if (!atomic_load(&hpp_writer.stop))
        wait_for_target(wake, MOMENT);
}

/* Finds images and tables once they may soon be needed: never for a process that only waits, as a shell does.
 * When the first sample may come is known of one with a single thread, whose timer tells. Returns how long
 * that has time, at most. */
static uint64_t prepare(uint64_t age)
{
    struct hpp_writer *writer = &hpp_writer;
    uint64_t used, left, idle;

    if (writer->has_begun)
        return UINT64_MAX;
    if (hpp_sampler.timer == HPP_TIMER_CPU && atomic_load(&hpp_sampler.slots_used) == 1) {
        used = hpp_sys_now(hpp_sys_process_clock(writer->target));
        left = used < hpp_sampler.slots[0].first_at ? hpp_sampler.slots[0].first_at - used : 0;
        idle = used - writer->used < (age - writer->used_at) / 8 ? age : age / 8;
        writer->used = used;
        writer->used_at = age;
        if (left > SOON)
            return left - SOON / 2 > idle ? left - SOON / 2 : idle;
    }
    hpp_writer_begin();
    return UINT64_MAX;
}

/* Between two pieces of longer work: the rings must not get full, nor an end wait. */
static int keep_up(void *unused)
{
    (void)unused;
    if (atomic_load(&hpp_writer.stop))
        return 1;
    hpp_writer_drain();
    return target_died(0) || target_execed();
}

/* How long to sleep. Not longer than we have lived: what the first samples lack is soon built. */
static uint64_t nap(int soon, uint64_t now, uint64_t begin)
{
    uint64_t age = now - begin;
    uint64_t ns = soon ? TICK_SOON : hpp_writer.last_sample + BUSY_FOR > now ? TICK_BUSY : TICK_IDLE;

    age = age < TICK_FIRST ? TICK_FIRST : age;
    return age < ns ? age : ns;
}

int hpp_writer_run(void *unused)
{
    struct hpp_writer *writer = &hpp_writer;
    uint64_t begin = hpp_sys_now(CLOCK_MONOTONIC);
    const char *cause = NULL;
    int soon, hands_over, built, stays;
    uint64_t rest;

    (void)unused;
    close_all_but(writer->file.fd); /* they are the target's: nobody shall wait for us to close them */
    wait_a_moment();
    if (atomic_load(&writer->stop) != HPP_WRITER_END)
        become_own_process();
    bound_file();
    hpp_timer_perf_begin();
    hpp_budget_begin();
    for (;;) {
        uint32_t wake = atomic_load(&writer->wake);
        uint64_t now = hpp_sys_now(CLOCK_MONOTONIC);
        uint64_t interval = writer->flushes ? writer->flush_interval : FLUSH_FIRST;
        uint32_t asked = atomic_load(&writer->flush_asked);

        hpp_books_look(); /* before it can be seen that another program was executed: its time is not ours */
        cause = end_cause();
        if (cause && hpp_text_equal(cause, "exec"))
            hpp_books_look_back();
        hands_over = atomic_load(&writer->stop) == HPP_WRITER_HAND_OVER;
        soon = hpp_writer_drain();
        if (cause || hands_over)
            break;
        rest = prepare(now - begin);
        if (writer->aggregate.first &&
            (now - writer->last_flush >= interval || asked != atomic_load(&writer->flush_done)))
            hpp_writer_flush(NULL);
        if (atomic_exchange(&writer->flush_done, asked) != asked)
            hpp_sys_futex_wake(&writer->flush_done);
        hpp_budget_pause();
        if (writer->look)
            writer->look();
        built = hpp_tables_build(atomic_load(&hpp_sampler.code), keep_up);
        hpp_budget_resume();
        if (built)
            continue;
        if (rest > nap(soon, now, begin))
            rest = nap(soon, now, begin);
        wait_for_target(wake, rest);
    }
    hpp_writer_flush(cause);
    if (!hands_over)
        hpp_pprof_close(&writer->file, writer->always_write);
    /* after an exec the program there gets a SIGCHLD by our end: soon, while it starts */
    stays = !hands_over && !hpp_text_equal(cause, "exec") && hpp_tables_wanted_late();
    atomic_store(&writer->done, stays ? HPP_WRITER_STAYS : HPP_WRITER_GOES);
    hpp_sys_futex_wake(&writer->done);
    if (stays)
        hpp_tables_build_late();
    return 0;
}
