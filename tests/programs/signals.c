/* Programs with ideas of their own about signals: `handler` takes SIGPROF and ITIMER_PROF for itself
 * and counts, `timer` looks at ITIMER_PROF, sets it and looks again, `time_limit` ends by it, `default` and
 * `ignored` look at and set the disposition, `sigset`, `__sigaction`, `sigignore` and `siginterrupt` do so by
 * these functions, `blocked` blocks every signal while it works and looks for pending ones, `sigwait` takes
 * its signals that way, `sigwait_all` whatever comes, `altstack` handles one on an alternate stack,
 * `small_altstack` has one that holds hardly anything, `tight_altstack` works on one that holds its own
 * handlers and no more, `errno` looks whether errno changes while it works. The second argument gives seconds
 * of CPU (default 0.3). flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <unistd.h>

static double budget_seconds = 0.3;
static volatile sig_atomic_t caught;

BURN_FUNCTION(work, 3)

static void on_signal(int number)
{
    (void)number;
    caught++;
}

/* At 50 Hz of its own: a tenth of that would mean that its signals are lost, twice that somebody
 * else's get in. */
static int run_handler(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, seen;
    struct itimerval timer = {{0, 20000}, {0, 20000}};
    double expected = 0;
    work(budget_seconds);
    sigaction(SIGPROF, &action, NULL);
    setitimer(ITIMER_PROF, &timer, NULL);
    do { /* the kernel looks at its ticks alone: a little time may have none */
        work(4 * budget_seconds);
        expected += 4 * budget_seconds * 50;
    } while (caught < expected / 10 && expected < 100 * budget_seconds * 50);
    memset(&timer, 0, sizeof(timer));
    setitimer(ITIMER_PROF, &timer, NULL);
    sigaction(SIGPROF, NULL, &seen);
    printf("its own handler stands: %d\n", seen.sa_handler == on_signal);
    printf("its own timer's signals: %s\n", caught < expected / 10  ? "lost"
                                            : caught > 2 * expected ? "too many"
                                                                    : "fine");
    return 0;
}

static void print_timer(const char *what, const struct itimerval *timer)
{
    long left = timer->it_value.tv_sec + (timer->it_value.tv_usec >= 500000); /* a tick may have passed */
    printf("%s: %ld of %ld\n", what, left, timer->it_interval.tv_sec);
}

static int run_timer(void)
{
    struct itimerval timer = {{2000, 0}, {1000, 500000}}, none = {{0, 0}, {0, 0}}, seen;
    work(budget_seconds);
    signal(SIGPROF, on_signal);
    getitimer(ITIMER_PROF, &seen);
    print_timer("at first", &seen);
    setitimer(ITIMER_PROF, &none, &seen);
    print_timer("before", &seen);
    work(budget_seconds);
    setitimer(ITIMER_PROF, &timer, &seen);
    print_timer("before", &seen);
    work(budget_seconds);
    getitimer(ITIMER_PROF, &seen);
    print_timer("set", &seen);
    raise(SIGPROF);
    setitimer(ITIMER_PROF, &none, &seen);
    print_timer("before", &seen);
    printf("signals: %d\n", (int)caught);
    return 0;
}

static int run_time_limit(void)
{
    struct itimerval limit = {{0, 0}, {0, 1}};
    work(budget_seconds);
    limit.it_value.tv_usec = 50000;
    setitimer(ITIMER_PROF, &limit, NULL);
    work(60);
    return 0;
}

static int run_default(void)
{
    struct sigaction seen;
    sigaction(SIGPROF, NULL, &seen);
    printf("SIGPROF at start: %s\n", seen.sa_handler == SIG_DFL ? "default" : "not default");
    work(budget_seconds);
    signal(SIGPROF, SIG_DFL);
    work(budget_seconds);
    printf("still here\n");
    return 0;
}

static int run_ignored(void)
{
    signal(SIGPROF, SIG_IGN);
    work(budget_seconds);
    raise(SIGPROF);
    printf("still here\n");
    return 0;
}

/* What is executed inherits that a signal is ignored: it is not ended by one. */
static int run_exec_ignored(void)
{
    signal(SIGPROF, SIG_IGN);
    work(budget_seconds);
    execl("/bin/sh", "sh", "-c", "kill -PROF $$; echo ignored", (char *)NULL);
    return 1;
}

/* ---- relics of System V and BSD: deprecated, and used all the same ---- */

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static int run_sigset(void)
{
    void (*old)(int) = sigset(SIGPROF, SIG_DFL);
    printf("SIGPROF was %s\n", old == SIG_DFL ? "default" : "not default");
    work(budget_seconds);
    printf("SIGPROF was %s\n", sigset(SIGPROF, on_signal) == SIG_DFL ? "default" : "not default");
    raise(SIGPROF);
    work(budget_seconds);
    printf("handled %d, %s\n", (int)caught,
           sigset(SIGPROF, SIG_HOLD) == on_signal ? "then held" : "not ours");
    printf("then %s\n", sigset(SIGPROF, SIG_DFL) == SIG_HOLD ? "freed" : "not held");
    work(budget_seconds);
    return 0;
}

int __sigaction(int number, const struct sigaction *new, struct sigaction *old);

static int run_inner_sigaction(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL}, seen;
    __sigaction(SIGPROF, &action, &seen);
    work(budget_seconds);
    printf("SIGPROF was %s\n", seen.sa_handler == SIG_DFL ? "default" : "not default");
    return 0;
}

static int run_sigignore(void)
{
    int result = sigignore(SIGPROF);
    raise(SIGPROF);
    work(budget_seconds);
    printf("sigignore %d\n", result);
    return 0;
}

static int run_siginterrupt(void)
{
    struct sigaction seen;
    signal(SIGPROF, on_signal);
    for (int interrupts = 1; interrupts >= 0; interrupts--) {
        int result = siginterrupt(SIGPROF, interrupts);
        sigaction(SIGPROF, NULL, &seen);
        printf("siginterrupt %d: %s, restarts %d\n", result,
               seen.sa_handler == on_signal ? "ours" : "not ours", !!(seen.sa_flags & SA_RESTART));
        work(budget_seconds);
    }
    return 0;
}

static int run_blocked(void)
{
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    printf("SIGPROF blocked at start: %d\n", sigismember(&old, SIGPROF));
    work(budget_seconds);
    sigprocmask(SIG_SETMASK, &old, NULL);
    work(budget_seconds);
    printf("still here\n");
    return 0;
}

static int run_sigwait(void)
{
    sigset_t set;
    int number = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    work(budget_seconds);
    kill(getpid(), SIGTERM);
    int result = sigwait(&set, &number);
    printf("sigwait %d: signal %d\n", result, number);
    return 0;
}

static void print_wait(const char *what, int result)
{
    printf("%s: %s\n", what, result < 0 ? strerror(errno) : strsignal(result));
}

/* A server's loop that takes every signal, none of which is ours; SIGPWR comes after SIGPROF where both
 * are pending. */
static int run_sigwait_all(void)
{
    struct timespec little = {0, 10000000};
    int number = 0;
    siginfo_t info;
    sigset_t all;
    work(budget_seconds);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    work(budget_seconds);
    print_wait("sigtimedwait", sigtimedwait(&all, &info, &little));
    work(budget_seconds);
    kill(getpid(), SIGPWR);
    print_wait("sigwaitinfo", sigwaitinfo(&all, &info));
    work(budget_seconds);
    kill(getpid(), SIGPWR);
    int result = sigwait(&all, &number);
    print_wait("sigwait", result ? -1 : number);
    return 0;
}

static int run_signalfd(void)
{
    struct signalfd_siginfo info;
    sigset_t all;
    int fd, taken = 0;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    fd = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
    for (int i = 0; i < 4; i++) {
        work(budget_seconds / 4);
        kill(getpid(), SIGUSR1);
        while (read(fd, &info, sizeof(info)) == sizeof(info))
            printf("%d: signal %u\n", taken++, info.ssi_signo);
    }
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    work(budget_seconds);
    return 0;
}

static int run_own_usr2(void)
{
    struct sigaction seen;
    void (*before)(int) = signal(SIGUSR2, on_signal);

    printf("SIGUSR2 was %s\n", before == SIG_DFL ? "default" : "not default");
    work(budget_seconds);
    raise(SIGUSR2);
    work(budget_seconds);
    raise(SIGUSR2);
    work(budget_seconds);
    sigaction(SIGUSR2, NULL, &seen);
    printf("its own handler stands: %d\n", seen.sa_handler == on_signal);
    fprintf(stderr, "handled %d\n", (int)caught);
    return 0;
}

static int run_altstack(void)
{
    stack_t stack = {.ss_size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 16384};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    stack.ss_sp = malloc(stack.ss_size);
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 100; i++) {
        work(budget_seconds / 100);
        raise(SIGUSR1);
    }
    sigaltstack(NULL, &stack);
    printf("caught %d, flags %d\n", (int)caught, stack.ss_flags);
    return 0;
}

/* As small as the kernel takes, just above a page that cannot be written to. */
static int run_small_altstack(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = pages + page, .ss_size = 2048};
    if (pages == MAP_FAILED || mprotect(pages, page, PROT_NONE))
        return 1;
    printf("sigaltstack %d\n", sigaltstack(&stack, NULL));
    work(budget_seconds);
    return 0;
}

static void on_signal_works(int number)
{
    volatile char *room = __builtin_alloca(3000);
    room[0] = room[2999] = (char)number;
    work(budget_seconds / 2);
    caught++;
}

/* Installs the same before and after the alternate stack is there, and looks at what it has installed. */
static int run_tight_altstack(void)
{
    struct sigaction action = {.sa_handler = on_signal_works, .sa_flags = SA_ONSTACK}, first, second;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = ((size_t)sysconf(_SC_MINSIGSTKSZ) + 3600 + page) / page * page;
    char *pages = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = pages + page, .ss_size = size};
    if (pages == MAP_FAILED || mprotect(pages, page, PROT_NONE))
        return 1;
    sigaction(SIGUSR1, &action, NULL);
    if (sigaltstack(&stack, NULL))
        return 1;
    sigaction(SIGUSR2, &action, NULL);
    work(budget_seconds);
    raise(SIGUSR1);
    raise(SIGUSR2);
    sigaction(SIGUSR1, NULL, &first);
    sigaddset(&action.sa_mask, SIGPROF);
    sigaction(SIGUSR2, &action, &second);
    sigaction(SIGUSR2, NULL, &action);
    printf("caught %d, SIGPROF in masks %d %d %d\n", (int)caught, sigismember(&first.sa_mask, SIGPROF),
           sigismember(&second.sa_mask, SIGPROF), sigismember(&action.sa_mask, SIGPROF));
    return 0;
}

static int run_errno(void)
{
    uint64_t value = 1;
    int changed = 0;
    for (struct burn burn = burn_for(budget_seconds); burn_on(&burn);) {
        errno = 4242;
        for (int i = 0; i < 1000000; i++)
            value = value * 3 + (uint64_t)i;
        burn_sink = value;
        changed += errno != 4242;
    }
    printf("errno changed %d times\n", changed);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"handler", run_handler},
    {"timer", run_timer},
    {"time_limit", run_time_limit},
    {"default", run_default},
    {"ignored", run_ignored},
    {"exec_ignored", run_exec_ignored},
    {"sigset", run_sigset},
    {"__sigaction", run_inner_sigaction},
    {"sigignore", run_sigignore},
    {"siginterrupt", run_siginterrupt},
    {"blocked", run_blocked},
    {"sigwait", run_sigwait},
    {"sigwait_all", run_sigwait_all},
    {"signalfd", run_signalfd},
    {"own_usr2", run_own_usr2},
    {"altstack", run_altstack},
    {"small_altstack", run_small_altstack},
    {"tight_altstack", run_tight_altstack},
    {"errno", run_errno},
};

int main(int argc, char **argv)
{
    if (argc > 2)
        budget_seconds = atof(argv[2]);
    for (size_t i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!strcmp(argv[1], cases[i].name))
            return cases[i].run();
    fprintf(stderr, "usage: signals CASE [SECONDS]\n");
    return 2;
}
