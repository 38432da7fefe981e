/* Uses CPU time in ways that are hard to sample, and tells how much: `used SECONDS` (getrusage) at the end.
 * accounting CASE THREADS MS: `main` works in main; `in_turn`, `at_once`: threads that work MS each, one
 * after the other or all at once; `blocked`: such that block all signals; `born_blocked`: threads of a thread
 * that has all blocked; `section`: main works MS with all blocked, and then THREADS times as long; `call`:
 * one system call of that order; `forks`: THREADS children of a process of so many MiB; `foreign`: while such
 * a born_blocked thread works the process sends itself SIGPROF, THREADS times, and main waits for it.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double amount;
static volatile sig_atomic_t wrong_thread, began;

BURN_FUNCTION(work_main, 3)
BURN_FUNCTION(work_thread, 3)
BURN_FUNCTION(work_blocked, 3)

static void block(int how)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(how, &all, NULL);
}

static void *run_thread(void *unused)
{
    began = 1;
    work_thread(amount);
    return unused;
}

static void *run_blocked(void *unused)
{
    block(SIG_BLOCK);
    work_blocked(amount);
    return unused;
}

static void many(void *(*routine)(void *), int count, int at_once)
{
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    for (int i = 0; i < count; i++) {
        pthread_create(&threads[i], NULL, routine, NULL);
        if (!at_once)
            pthread_join(threads[i], NULL);
    }
    for (int i = 0; at_once && i < count; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}

static void section(int count)
{
    block(SIG_BLOCK);
    work_blocked(amount);
    block(SIG_UNBLOCK);
    work_main(amount * count);
}

/* The kernel fills memory for a while. */
static void call(int count)
{
    size_t size = (size_t)count << 20;
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    work_main(amount);
    if (memory != MAP_FAILED)
        munmap(memory, size);
}

/* Of a process with as many MiB as the amount is ms: it takes the kernel a while to copy the page tables. */
static void forks(int count)
{
    size_t size = (size_t)(amount * 1000) << 20;
    char *memory = malloc(size);
    memset(memory, 1, size);
    __asm__ volatile("" ::"r"(memory) : "memory"); /* else compilers see that nobody reads it */
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (!child)
            _exit(0);
        waitpid(child, NULL, 0);
    }
    free(memory);
}

static void on_signal(int number)
{
    (void)number;
    wrong_thread = 1;
}

static void foreign(int count)
{
    pthread_t thread;
    siginfo_t info;
    sigset_t profile;
    int taken = 0;
    signal(SIGPROF, on_signal);
    sigemptyset(&profile);
    sigaddset(&profile, SIGPROF);
    pthread_sigmask(SIG_BLOCK, &profile, NULL);
    pthread_create(&thread, NULL, run_thread, NULL);
    while (!began)
        usleep(1000);
    for (int i = 0; i < count; i++) {
        kill(getpid(), SIGPROF);
        taken += sigwaitinfo(&profile, &info) == SIGPROF && info.si_pid == getpid();
    }
    pthread_join(thread, NULL);
    printf("taken %d, %s\n", taken, wrong_thread ? "some by a thread that blocks it" : "all by who waits");
}

int main(int argc, char **argv)
{
    struct rusage usage;
    const char *name = argc > 3 ? argv[1] : "";
    int count = argc > 3 ? atoi(argv[2]) : 0;
    amount = argc > 3 ? atof(argv[3]) / 1000 : 0;
    if (!strcmp(name, "main"))
        work_main(amount);
    else if (!strcmp(name, "in_turn") || !strcmp(name, "at_once"))
        many(run_thread, count, !strcmp(name, "at_once"));
    else if (!strcmp(name, "blocked"))
        many(run_blocked, count, 1);
    else if (!strcmp(name, "born_blocked"))
        block(SIG_BLOCK), many(run_thread, count, 1);
    else if (!strcmp(name, "section"))
        section(count);
    else if (!strcmp(name, "call"))
        call(count);
    else if (!strcmp(name, "forks"))
        forks(count);
    else if (!strcmp(name, "foreign"))
        foreign(count);
    else
        return 2;
    getrusage(RUSAGE_SELF, &usage);
    printf("used %.6f\n", (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                              (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return 0;
}
