/* Delivers the agent's own signal at the worst moments: runs a program under ptrace and sends each thread the
 * signal of its CPU timer, with that timer's value, again and again:
 *
 *   deliver syscalls|step EVERY PROGRAM [ARGUMENT...]
 *
 * syscalls: right before each system call and right behind it; step: at each instruction. Of these moments,
 * one of EVERY is taken, at random. A thread gets none before its timer is made, and goes on getting them
 * when the timer is deleted. In the handler nothing is sent: all signals are blocked there.
 *
 * Children and threads are followed; the agent's writer is not (CLONE_UNTRACED). The last line on stderr says
 * what was done. Exit status: the program's; 124 where nothing moves for a minute, 125 where it cannot be
 * run. */
#include "deliver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TASKS = 4096, PATIENCE = 60 };

static struct task tasks[TASKS];
static unsigned every = 1;
static int stepping, first_status = -1;
static pid_t first;

static struct {
    unsigned long moments, sent, delivered, threads, processes, execs, timers, others;
} count;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "deliver: %s: %s\n", what, strerror(errno));
    exit(125);
}

/* ---- tasks ----------------------------------------------------------------------------------------- */

static struct task *find(pid_t tid)
{
    for (int i = 0; i < TASKS; i++)
        if (tasks[i].tid == tid)
            return &tasks[i];
    return NULL;
}

static pid_t process_of(pid_t tid)
{
    char path[64], line[128];
    int tgid = tid;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", tid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Tgid: %d", &tgid) == 1)
            break;
    if (file)
        fclose(file);
    return tgid;
}

static struct task *task_of(pid_t tid)
{
    struct task *task = find(tid);

    if (task)
        return task;
    task = find(0);
    if (!task)
        die("too many threads");
    *task = (struct task){.tid = tid, .tgid = process_of(tid)};
    *(task->tgid == tid ? &count.processes : &count.threads) += 1;
    return task;
}

/* ---- sending --------------------------------------------------------------------------------------- */

/* The thread is stopped where user code goes on. */
static void send_at_moment(struct task *task)
{
    siginfo_t info = {0};

    if (!task->value || task->in_handler)
        return;
    count.moments++;
    if (every > 1 && random() % every)
        return;
    info.si_signo = SIGPROF;
    info.si_code = SI_TIMER;
    info.si_value.sival_ptr = (void *)task->value;
    if (!syscall(SYS_rt_tgsigqueueinfo, task->tgid, task->tid, SIGPROF, &info))
        count.sent++;
}

/* A step, but where the next instruction is a system call: its entry and its end are both wanted. */
static void resume(struct task *task, int signal)
{
    int request = PTRACE_SYSCALL;

    if (stepping && task->value && !task->in_handler && !task->in_call && !deliver_at_call(task))
        request = PTRACE_SINGLESTEP;
    if (ptrace(request, task->tid, 0, signal) && errno != ESRCH)
        die("going on");
}

/* ---- stops ----------------------------------------------------------------------------------------- */

/* A timer of the agent's. */
static void note_timer(struct task *task, uint64_t event)
{
    uint64_t words[3] = {0};

    if (!deliver_read(task, event, words, sizeof words))
        return;
    if ((int)words[1] == SIGPROF && words[1] >> 32 == KERNEL_SIGEV_THREAD_ID && words[0] >> 48 == MARK) {
        task->made = words[0];
        task->made_for = (pid_t)words[2];
    }
}

/* It is set: from now on signals may come to the thread that it is for. */
static void note_set(struct task *task)
{
    uint64_t value = task->made;

    if (!value)
        return;
    task->made = 0;
    count.timers++;
    count.others += task->made_for != task->tid;
    task_of(task->made_for)->value = value;
}

static void at_entry(struct task *task, const struct __ptrace_syscall_info *call)
{
    int wanted = !stepping && task->value && !task->in_handler && !task->again;

    task->in_call = 1;
    task->call = call->entry.nr;
    task->event = call->entry.args[1];
    if (wanted && task->call != SYS_rt_sigreturn && !deliver_skip_call(task))
        task->skipped = 1;
    if (!task->in_handler)
        task->again = 0;
    resume(task, 0);
}

static void at_exit_of_call(struct task *task, const struct __ptrace_syscall_info *call)
{
    int was_return = task->call == SYS_rt_sigreturn && task->in_handler;

    task->in_call = 0;
    if (was_return)
        task->in_handler = 0;
    if (task->call == SYS_timer_create && !call->exit.is_error)
        note_timer(task, task->event);
    if (task->call == SYS_timer_settime && !call->exit.is_error)
        note_set(task);
    if (task->skipped) {
        task->skipped = 0;
        task->again = 1;
        if (deliver_rewind_call(task))
            die("a call again");
    }
    if (!was_return)
        send_at_moment(task);
    resume(task, 0);
}

static void at_call(struct task *task)
{
    struct __ptrace_syscall_info call;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof call, &call) < 0)
        resume(task, 0);
    else if (call.op == PTRACE_SYSCALL_INFO_ENTRY)
        at_entry(task, &call);
    else
        at_exit_of_call(task, &call);
}

static void at_event(struct task *task, int event)
{
    unsigned long message = 0;

    if (event == PTRACE_EVENT_EXEC) {
        pid_t tgid = task->tgid;
        ptrace(PTRACE_GETEVENTMSG, task->tid, 0, &message);
        if ((pid_t)message != task->tid && find((pid_t)message))
            find((pid_t)message)->tid = 0;
        *task = (struct task){.tid = task->tid, .tgid = tgid, .in_call = 1, .call = SYS_execve};
        count.execs++;
    }
    resume(task, 0);
}

static void at_signal(struct task *task, int signal)
{
    siginfo_t info;

    if (signal == SIGTRAP && stepping && task->value) {
        send_at_moment(task);
        resume(task, 0);
        return;
    }
    if (signal == SIGPROF && !ptrace(PTRACE_GETSIGINFO, task->tid, 0, &info) && info.si_code == SI_TIMER) {
        count.delivered++;
        task->in_handler = 1;
    }
    resume(task, signal);
}

static void at_stop(pid_t tid, int status)
{
    struct task *task;
    int event = status >> 16, signal = WSTOPSIG(status);

    if (WIFEXITED(status) || WIFSIGNALED(status)) {
        task = find(tid);
        if (task)
            task->tid = 0;
        if (tid == first)
            first_status = status;
        return;
    }
    task = task_of(tid);
    if (event)
        at_event(task, event);
    else if (signal == (SIGTRAP | 0x80))
        at_call(task);
    else
        at_signal(task, signal);
}

/* ---- running --------------------------------------------------------------------------------------- */

static void on_alarm(int signal)
{
    (void)signal;
}

static _Noreturn void hang(void)
{
    fprintf(stderr, "deliver: nothing moves any more, after %lu signals:\n", count.delivered);
    for (int i = 0; i < TASKS; i++)
        if (tasks[i].tid)
            fprintf(stderr, "  process %d, thread %d, in%s call %lu%s\n", tasks[i].tgid, tasks[i].tid,
                    tasks[i].in_call ? "" : " no", tasks[i].call,
                    tasks[i].in_handler ? ", in the handler" : "");
    for (int i = 0; i < TASKS; i++)
        if (tasks[i].tid)
            kill(tasks[i].tgid, SIGKILL);
    exit(124);
}

static void start(char **command)
{
    const unsigned long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                                  PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    int gate[2], status;
    char byte;

    if (pipe2(gate, O_CLOEXEC))
        die("pipe");
    first = fork();
    if (first == 0) {
        if (read(gate[0], &byte, 1) == 1)
            execvp(command[0], command);
        _exit(125);
    }
    if (first < 0 || ptrace(PTRACE_SEIZE, first, 0, options) || ptrace(PTRACE_INTERRUPT, first, 0, 0) ||
        waitpid(first, &status, __WALL) != first)
        die("tracing");
    task_of(first);
    if (write(gate[1], "", 1) != 1)
        die("pipe");
    at_stop(first, status);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_alarm};
    int status;
    pid_t tid;

    if (argc < 4 || (strcmp(argv[1], "syscalls") && strcmp(argv[1], "step")) || atoi(argv[2]) < 1) {
        fputs("usage: deliver syscalls|step EVERY PROGRAM [ARGUMENT...]\n", stderr);
        return 125;
    }
    stepping = !strcmp(argv[1], "step");
    every = (unsigned)atoi(argv[2]);
    srandom(1);
    sigaction(SIGALRM, &action, NULL);
    start(argv + 3);
    for (;;) {
        alarm(PATIENCE);
        tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR)
            hang();
        if (tid < 0)
            break;
        at_stop(tid, status);
    }
    fprintf(stderr, "deliver: %lu moments, %lu signals sent, %lu delivered; ", count.moments, count.sent,
            count.delivered);
    fprintf(stderr, "%lu processes, %lu threads more, %lu execs, %lu timers, %lu of them by another thread\n",
            count.processes, count.threads, count.execs, count.timers, count.others);
    if (WIFSIGNALED(first_status))
        fprintf(stderr, "deliver: the program was ended by signal %d\n", WTERMSIG(first_status));
    return WIFEXITED(first_status) ? WEXITSTATUS(first_status) : 128 + WTERMSIG(first_status);
}
