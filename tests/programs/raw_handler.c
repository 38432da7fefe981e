/* Replaces the handler of SIGPROF by the raw system call (libc's own syscall, that nobody stands in front
 * of), then works for as many seconds of CPU as the second argument says: `alone`, or with `thread` in a
 * thread that it makes, which ends before the main thread works on. Tells whether that handler still stands,
 * and whether signals came after the thread began.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct kernel_action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static double seconds = 0.3;
static volatile sig_atomic_t caught;

BURN_FUNCTION(work_before, 3)
BURN_FUNCTION(work_after, 5)

static void on_signal(int number)
{
    (void)number;
    caught++;
}

static void *thread_root(void *argument)
{
    caught = 0;
    work_after(seconds);
    return argument;
}

int main(int argc, char **argv)
{
    struct kernel_action action, seen;
    pthread_t thread;
    void *libc = dlopen("libc.so.6", RTLD_LAZY);
    long (*raw)(long, ...) = libc ? (long (*)(long, ...))dlsym(libc, "syscall") : NULL;

    if (!raw)
        return 1;
    if (argc > 2)
        seconds = atof(argv[2]);
    work_before(seconds);
    /* the C library's own restorer */
    raw(SYS_rt_sigaction, SIGPROF, NULL, &action, sizeof action.mask);
    if (!action.restorer) {
        struct sigaction usual = {.sa_handler = on_signal};
        sigaction(SIGUSR1, &usual, NULL);
        raw(SYS_rt_sigaction, SIGUSR1, NULL, &action, sizeof action.mask);
    }
    action.handler = on_signal;
    action.flags = (action.flags & ~(unsigned long)SA_SIGINFO) | SA_RESTART;
    raw(SYS_rt_sigaction, SIGPROF, &action, NULL, sizeof action.mask);
    if (argc > 1 && !strcmp(argv[1], "thread")) {
        if (pthread_create(&thread, NULL, thread_root, NULL) || pthread_join(thread, NULL))
            return 1;
    }
    work_after(seconds);
    raw(SYS_rt_sigaction, SIGPROF, NULL, &seen, sizeof seen.mask);
    printf("its own handler stands: %d\n", seen.handler == on_signal);
    if (argc > 1 && !strcmp(argv[1], "thread"))
        printf("signals in it: %s\n", caught > 3 ? "many" : "none");
    return 0;
}
