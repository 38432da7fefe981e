/* Uses CPU for the seconds of the second argument (default 0.3), then ends in the way that the first
 * names.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "counted.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static double seconds = 0.3;

BURN_FUNCTION(burn_main, 3)
BURN_FUNCTION(burn_thread, 5)
BURN_FUNCTION(burn_at_exit, 7)

static void end_return(void) {}

static void end_exit_now(void)
{
    _exit(3);
}

static void end_quick_exit(void)
{
    quick_exit(4);
}

static void at_exit(void)
{
    burn_at_exit(seconds);
    printf("at exit\n");
}

static void end_atexit(void)
{
    atexit(at_exit);
    exit(6);
}

static void end_kill(void)
{
    kill(getpid(), SIGKILL);
}

static void end_term(void)
{
    raise(SIGTERM);
}

static void end_segv(void)
{
    *(volatile int *)8 = 1;
}

static void end_abort(void)
{
    abort();
}

static void end_trap(void)
{
    __builtin_trap();
}

/* A sandbox that ends a process at any system call but read, write, sigreturn and exit. The clock is
 * such a call, so rounds are counted before (counted.h). */
static void end_strict(void)
{
    uint64_t rounds = rounds_to_work(seconds);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
        printf("no sandbox\n");
    work_in_sandbox(rounds);
    syscall(SYS_exit, 12);
}

/* Where only these calls are allowed, any other ends the process. */
static void work_behind_filter(void)
{
    static const unsigned allowed[] = {SYS_write, SYS_rt_sigreturn, SYS_exit_group};
    enum { ALLOWED = sizeof(allowed) / sizeof(allowed[0]) };
    struct sock_filter filter[1 + 2 * ALLOWED + 1] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    uint64_t rounds = rounds_to_work(seconds);
    for (int i = 0; i < ALLOWED; i++) {
        filter[1 + 2 * i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        filter[2 + 2 * i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[1 + 2 * ALLOWED] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        printf("no filter\n");
    work_in_sandbox(rounds);
}

static void end_filter(void)
{
    work_behind_filter();
    exit(13);
}

static void filter_and_leave(void)
{
    work_behind_filter();
    _exit(14);
}

/* The same on a stack that is not the thread's. */
static void end_filter_coroutine(void)
{
    static char stack[256 * 1024];
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = sizeof(stack);
    context.uc_link = NULL;
    makecontext(&context, filter_and_leave, 0);
    setcontext(&context);
}

static void on_signal(int number)
{
    char text[] = "caught\n";
    ssize_t unused = write(1, text, sizeof(text) - 1);
    (void)unused;
    _exit(number);
}

static void end_caught_segv(void)
{
    signal(SIGSEGV, on_signal);
    *(volatile int *)8 = 1;
}

static void *thread_exits(void *unused)
{
    burn_thread(seconds);
    printf("thread ends the process\n");
    exit(5);
    return unused;
}

static void end_main_thread_first(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, thread_exits, NULL);
    pthread_exit(NULL);
}

static void *thread_returns(void *unused)
{
    burn_thread(seconds);
    printf("last thread returns\n");
    return unused;
}

/* The process ends with status 0 when the last thread has returned. */
static void end_last_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, thread_returns, NULL);
    pthread_exit(NULL);
}

static const struct {
    const char *name;
    void (*end)(void);
} cases[] = {
    {"return", end_return},
    {"exit_now", end_exit_now},
    {"quick_exit", end_quick_exit},
    {"atexit", end_atexit},
    {"kill", end_kill},
    {"term", end_term},
    {"segv", end_segv},
    {"caught_segv", end_caught_segv},
    {"abort", end_abort},
    {"trap", end_trap},
    {"strict", end_strict},
    {"filter", end_filter},
    {"filter_coroutine", end_filter_coroutine},
    {"main_thread_first", end_main_thread_first},
    {"last_thread", end_last_thread},
};

int main(int argc, char **argv)
{
    if (argc > 2)
        seconds = atof(argv[2]);
    for (size_t i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!strcmp(argv[1], cases[i].name)) {
            burn_main(seconds);
            printf("before the end\n");
            fflush(stdout);
            cases[i].end();
            return 1;
        }
    fprintf(stderr, "usage: endings CASE [SECONDS]\n");
    return 2;
}
