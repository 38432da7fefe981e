/* Uses CPU for the seconds of the second argument (default 0.3), then ends in the way that the first
 * names.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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
 * such a call, so rounds are counted before. */
static __attribute__((noinline)) void work_in_sandbox(uint64_t rounds)
{
    uint64_t value = burn_sink;
    for (uint64_t i = 0; i < rounds; i++)
        value = value * 3 + i;
    burn_sink = value;
}

static void end_strict(void)
{
    uint64_t rounds = 0;
    for (double end = burn_clock() + seconds; burn_clock() < end; rounds += 100000)
        work_in_sandbox(100000);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
        printf("no sandbox\n");
    work_in_sandbox(rounds);
    syscall(SYS_exit, 12);
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
