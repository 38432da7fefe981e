/* Stops a process by PTRACE_SEIZE and PTRACE_INTERRUPT, which no signal is needed for, copies and lets go. A
 * thread of ours does it and ends: the kernel then releases what is not released yet, also a thread that
 * never came to stop; and so it does when we are killed. Offline only. */
#include "symbolizer/process_stop.h"

#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_BYTES = 16 << 10, /* most stacks are smaller */
    SETTLE_US = 100,        /* how long a sleeping thread has before the next one is stopped */
    LOOK_US = 2000,         /* how often to look for threads that end without news */
    BUSY_MS = 100,          /* how long a thread may take to leave the kernel */
    ALL_MS = 2000,
};

enum phase { NEW, SEIZED, STOPPED, OVER };

struct tracee {
    struct hpp_process_thread thread; /* first: tracees are compared by it */
    enum phase phase;
    int signal; /* that it was stopped at: still to be delivered */
};

struct taking {
    struct hpp_process *process;
    pid_t only; /* this thread, 0: all */
    struct tracee *tracees;
    size_t count, room;
    uint64_t first_stop;
    bool failed;
    char *why;
    uint8_t buffer[HPP_STACK_BYTES]; /* written before the stop, so that it is there */
};

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int compare(const void *left, const void *right)
{
    const struct hpp_process_thread *a = left, *b = right;

    return a->tid < b->tid ? -1 : a->tid > b->tid;
}

static struct tracee *find(const struct taking *taking, size_t count, pid_t tid)
{
    struct hpp_process_thread key = {.tid = tid};

    return count ? bsearch(&key, taking->tracees, count, sizeof *taking->tracees, compare) : NULL;
}

static int fail(struct taking *taking, const char *why)
{
    if (why != taking->why)
        snprintf(taking->why, HPP_PROCESS_WHY, "%s", why);
    taking->failed = true;
    return -1;
}

/* Adds the threads that are new in /proc/PID/task. Returns how many, or -1. */
static int scan(struct taking *taking)
{
    size_t before = taking->count;
    pid_t one = taking->only, *tids = &one;
    long count = 1, room = 1;

    while (!taking->only && (count = hpp_process_threads(taking->process->pid, NULL, 0)) > 0) {
        tids = hpp_memory_get((size_t)(room = count + 64) * sizeof *tids);
        count = hpp_process_threads(taking->process->pid, tids, (size_t)room);
        if (count <= room)
            break;
        free(tids);
    }
    for (long i = 0; i < count; i++) {
        struct tracee tracee = {.thread.tid = tids[i]};
        if (find(taking, before, tids[i]) ||
            hpp_process_status(taking->process->pid, tids[i], &tracee.thread.status))
            continue;
        taking->tracees =
            hpp_memory_room(taking->tracees, &taking->room, taking->count + 1, sizeof *taking->tracees);
        taking->tracees[taking->count++] = tracee;
    }
    if (tids != &one)
        free(tids);
    if (taking->count > before)
        qsort(taking->tracees, taking->count, sizeof *taking->tracees, compare);
    return (int)(taking->count - before);
}

/* A thread that waits in the kernel where nothing can stop it would hold up all others: it gets a moment to
 * come out before anything is stopped, and is otherwise left out. */
static void pass_over_busy(struct taking *taking)
{
    uint64_t end = now() + BUSY_MS * 1000000ull;
    bool busy;

    do {
        busy = false;
        for (size_t i = 0; i < taking->count; i++) {
            struct hpp_process_thread *thread = &taking->tracees[i].thread;
            if (thread->status.state == 'D' &&
                !hpp_process_status(taking->process->pid, thread->tid, &thread->status))
                busy |= thread->status.state == 'D';
        }
        if (busy)
            nanosleep(&(struct timespec){0, 2000000}, NULL);
    } while (busy && now() < end);
    for (size_t i = 0; i < taking->count; i++) {
        struct tracee *tracee = &taking->tracees[i];
        if (tracee->thread.status.state != 'D')
            continue;
        tracee->thread.missing = "it waits in the kernel where it cannot be stopped";
        tracee->phase = OVER;
    }
}

static int seize(struct taking *taking, struct tracee *tracee)
{
    pid_t pid = taking->process->pid, tid = tracee->thread.tid;
    struct hpp_thread_status status;

    if (!taking->first_stop)
        taking->first_stop = now();
    if (!ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
        tracee->phase = SEIZED;
        ptrace(PTRACE_INTERRUPT, tid, NULL, NULL); /* fails only for one that is no more */
        return 0;
    }
    tracee->phase = OVER;
    if (errno == ESRCH || hpp_process_status(pid, tid, &status))
        return 0;
    if (status.state == 'Z' || status.state == 'X') {
        tracee->thread.status.state = 'Z';
        return 0;
    }
    hpp_process_refused(pid, tid, taking->why);
    return fail(taking, taking->why);
}

/* Copies the stack from SP, and from what leaf functions use below it, to the end of its mapping. */
static bool copy_stack(struct taking *taking, struct hpp_stack_piece *piece, uint64_t sp)
{
    const struct hpp_process_mapping *mapping = hpp_process_mapping_find(taking->process, sp);
    uint64_t address = mapping && sp - mapping->start >= HPP_ARCH_RED_ZONE ? sp - HPP_ARCH_RED_ZONE : sp;
    uint64_t limit =
        mapping && mapping->end - address < HPP_STACK_BYTES ? mapping->end - address : HPP_STACK_BYTES;
    size_t size = 0, want = FIRST_BYTES - address % 4096;

    while (size < limit) {
        want = want < limit - size ? want : limit - size;
        struct iovec to = {taking->buffer + size, want};
        struct iovec from = {(void *)(address + size), want};
        ssize_t got = process_vm_readv(taking->process->reach, &to, 1, &from, 1, 0);
        size += got > 0 ? (size_t)got : 0;
        if (got < (ssize_t)want)
            break;
        want = HPP_STACK_BYTES;
    }
    if (!size)
        return false;
    *piece = (struct hpp_stack_piece){address, size, hpp_pool_get(&taking->process->pool, size),
                                      size == HPP_STACK_BYTES};
    memcpy(piece->bytes, taking->buffer, size);
    return true;
}

static void copy_thread(struct taking *taking, struct hpp_process_thread *thread)
{
    struct user_regs_struct user;
    struct iovec set = {&user, sizeof user};
    struct hpp_stack_piece *piece = thread->pieces;
    uint64_t sp;

    if (ptrace(PTRACE_GETREGSET, thread->tid, NT_PRSTATUS, &set))
        return; /* killed meanwhile */
    if (set.iov_len != sizeof user) {
        thread->missing = "it runs 32-bit code";
        return;
    }
    thread->registers = hpp_arch_registers_from(&user);
    if (hpp_arch_restart_call(&user))
        ptrace(PTRACE_SETREGSET, thread->tid, NT_PRSTATUS, &set);
    thread->taken = true;
    sp = thread->registers.value[HPP_ARCH_SP];
    if (!copy_stack(taking, piece, sp))
        return;
    sp = hpp_arch_interrupted_sp(piece->bytes, piece->size, piece->address);
    if (sp && sp - piece->address >= piece->size)
        copy_stack(taking, &thread->pieces[1], sp);
}

/* Takes the news of our tracees. */
static void collect(struct taking *taking)
{
    int status;
    pid_t tid;

    while ((tid = waitpid(-1, &status, __WALL | __WNOTHREAD | WNOHANG)) > 0) {
        struct tracee *tracee = find(taking, taking->count, tid);
        if (!tracee || tracee->phase != SEIZED)
            continue;
        if (!WIFSTOPPED(status)) {
            tracee->phase = OVER;
            continue;
        }
        tracee->phase = STOPPED;
        /* with an event it is our own stop, or a group's; else a signal on its way to the thread */
        tracee->signal = status >> 16 ? 0 : WSTOPSIG(status);
        copy_thread(taking, &tracee->thread);
    }
}

/* Waits for the news of a stop. Returns whether there may be one. */
static bool wait_for_news(long microseconds)
{
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    return sigtimedwait(&child, NULL, &(struct timespec){0, microseconds * 1000}) > 0;
}

/* A call that we interrupted would fail if we were killed before copy_thread mends it: not many at a time. */
static void settle(struct taking *taking, const struct tracee *tracee)
{
    do
        collect(taking);
    while (tracee->thread.status.state == 'S' && tracee->phase == SEIZED && wait_for_news(SETTLE_US));
}

static size_t running(const struct taking *taking)
{
    size_t count = 0;

    for (size_t i = 0; i < taking->count; i++)
        count += taking->tracees[i].phase == SEIZED;
    return count;
}

/* Of those that have not stopped yet: drops the ones that have ended, of which no news may come (the main
 * thread before the others). Returns whether all the rest is where nothing can stop it. */
static bool all_busy(struct taking *taking)
{
    struct hpp_thread_status status;
    bool busy = true;

    for (size_t i = 0; i < taking->count; i++) {
        struct tracee *tracee = &taking->tracees[i];
        if (tracee->phase != SEIZED)
            continue;
        if (hpp_process_status(taking->process->pid, tracee->thread.tid, &status)) {
            tracee->phase = OVER;
        } else if (status.state == 'Z' || status.state == 'X') {
            tracee->phase = OVER;
            tracee->thread.status.state = 'Z';
        } else {
            busy &= status.state == 'D';
        }
    }
    return busy;
}

/* Until all that were seized have stopped, or a little longer than they may take. */
static void wait_for_stops(struct taking *taking)
{
    const uint64_t begin = now();

    for (;;) {
        uint64_t waited = now() - begin;
        collect(taking);
        if (!running(taking) || waited > ALL_MS * 1000000ull)
            break;
        if (!wait_for_news(LOOK_US) && all_busy(taking) && waited > BUSY_MS * 1000000ull)
            break;
    }
    for (size_t i = 0; i < taking->count; i++)
        if (taking->tracees[i].phase == SEIZED)
            taking->tracees[i].thread.missing = "it did not stop in time";
}

/* Only those that are stopped can be asked to be released; the others are when this thread ends. */
static void release(struct taking *taking)
{
    for (size_t i = 0; i < taking->count; i++)
        if (taking->tracees[i].phase == STOPPED)
            ptrace(PTRACE_DETACH, taking->tracees[i].thread.tid, NULL, (long)taking->tracees[i].signal);
    if (taking->first_stop)
        taking->process->stopped_ns = now() - taking->first_stop;
}

static void *take(void *argument)
{
    struct taking *taking = argument;
    uint64_t end;

    memset(taking->buffer, 0, sizeof taking->buffer);
    scan(taking);
    for (size_t i = taking->count; i > 0; i--)
        if (!strchr("ZX", taking->tracees[i - 1].thread.status.state))
            taking->process->reach = taking->tracees[i - 1].thread.tid;
    hpp_process_mappings_read(taking->process); /* where stacks end; once more when all is still */
    pass_over_busy(taking);
    end = now() + ALL_MS * 1000000ull;
    do {
        /* threads that a thread made before it stopped appear in the next scan */
        for (size_t i = 0; i < taking->count && !taking->failed; i++)
            if (taking->tracees[i].phase == NEW && !seize(taking, &taking->tracees[i]))
                settle(taking, &taking->tracees[i]);
        if (taking->failed)
            break;
        wait_for_stops(taking);
    } while (!taking->only && scan(taking) && now() < end);
    for (size_t i = taking->count; i > 0; i--)
        if (taking->tracees[i - 1].phase == STOPPED)
            taking->process->reach = taking->tracees[i - 1].thread.tid;
    if (!taking->failed)
        hpp_process_mappings_read(taking->process);
    release(taking);
    return NULL;
}

/* Keeps the threads that there is something to tell of, the main thread first. */
static void keep(struct taking *taking)
{
    struct hpp_process *process = taking->process;

    process->threads = hpp_memory_get((taking->count + 1) * sizeof *process->threads);
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; i < taking->count; i++) {
            const struct hpp_process_thread *thread = &taking->tracees[i].thread;
            if ((thread->tid != process->pid) == others &&
                (thread->taken || thread->missing || thread->status.state == 'Z'))
                process->threads[process->thread_count++] = *thread;
        }
}

int hpp_process_take(struct hpp_process *process, pid_t pid, pid_t tid, char why[HPP_PROCESS_WHY])
{
    struct taking *taking = hpp_memory_get(sizeof *taking);
    struct sigaction usual = {.sa_handler = SIG_DFL}, before;
    sigset_t all, mask;
    pthread_t thread;
    int error, result = -1;

    *process = (struct hpp_process){.pid = pid, .reach = pid};
    taking->process = process;
    taking->only = tid;
    taking->why = why;
    sigaction(SIGCHLD, &usual, &before); /* where it is ignored, stops are not told */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    error = pthread_create(&thread, NULL, take, taking);
    if (!error)
        pthread_join(thread, NULL);
    sigaction(SIGCHLD, &before, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (error)
        snprintf(why, HPP_PROCESS_WHY, "cannot start a thread: %s", strerror(error));
    else if (!taking->failed)
        keep(taking);
    if (process->thread_count)
        result = 0;
    else if (error || taking->failed)
        ; /* it says why */
    else if (tid && hpp_process_field(pid, pid, "Tgid") == pid)
        snprintf(why, HPP_PROCESS_WHY, "process %d has no thread %d", pid, tid);
    else
        snprintf(why, HPP_PROCESS_WHY, "process %d has ended meanwhile", pid);
    free(taking->tracees);
    free(taking);
    return result;
}

void hpp_process_free(struct hpp_process *process)
{
    free(process->threads);
    free(process->mappings);
    hpp_pool_free(&process->pool);
    *process = (struct hpp_process){0};
}
