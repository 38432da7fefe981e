/* Uses CPU time in many processes, or in threads that libc knows nothing of, and tells how much (getrusage),
 * in lines `used SECONDS` that are to be added up. uses CASE COUNT MS: `raw`: threads by a raw clone, with
 * the main thread's thread-local storage; `tree`: a tree of COUNT processes, each forked by another, which
 * end in three ways; `chain`: COUNT programs, each executed by the one before; `equal`: threads that run
 * beside each other, each of which says `thread TID SECONDS` by its own clock. Each process or thread works
 * MS. flags: -pthread -fno-stack-protector */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../programs/burn.h"

enum { THREADS = 64, STACK = 256 << 10 };

static double amount;
static volatile int running[THREADS];

BURN_FUNCTION(work, 3)

/* One write, as several processes do so at once. */
static void say_used(void)
{
    struct rusage usage;
    char line[64];
    int length;

    getrusage(RUSAGE_SELF, &usage);
    length = snprintf(line, sizeof line, "used %.6f\n",
                      (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    if (write(1, line, (size_t)length) != length)
        _exit(3);
}

static int raw_thread(void *unused)
{
    (void)unused; /* and nothing that sets errno: it is another thread's */
    work(amount);
    return 0;
}

static int raw(int count)
{
    for (int i = 0; i < count; i++) {
        char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        running[i] = 1;
        if (stack == MAP_FAILED || clone(raw_thread, stack + STACK,
                                         CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                             CLONE_SYSVSEM | CLONE_CHILD_CLEARTID,
                                         NULL, NULL, NULL, &running[i]) < 0)
            return 1;
    }
    for (int i = 0; i < count; i++)
        while (running[i])
            syscall(SYS_futex, &running[i], FUTEX_WAIT, 1, NULL, NULL, 0);
    say_used();
    return 0;
}

/* Process NUMBER, with those below it. */
static void tree(int number, int count)
{
    int status, bad = 0;

    for (int child = 2 * number + 1; child <= 2 * number + 2 && child < count; child++) {
        pid_t pid = fork();
        if (pid < 0)
            exit(1);
        if (!pid)
            tree(child, count);
    }
    work(amount);
    while (wait(&status) > 0)
        bad |= status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    say_used();
    if (bad || number % 3 == 0)
        exit(bad);
    if (number % 3 == 1)
        _exit(0);
    raise(SIGKILL);
}

static int chain(int count, char **argv)
{
    char left[16];

    work(amount);
    if (count <= 1) {
        say_used();
        return 0;
    }
    snprintf(left, sizeof left, "%d", count - 1);
    execl("/proc/self/exe", argv[0], "chain", left, argv[3], NULL);
    return 1;
}

static void *equal_thread(void *barrier)
{
    char line[64];
    int length;

    pthread_barrier_wait(barrier);
    work(amount);
    length = snprintf(line, sizeof line, "thread %d %.6f\n", gettid(), burn_clock());
    return write(1, line, (size_t)length) == length ? barrier : NULL;
}

static int equal(int count)
{
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;

    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, equal_thread, &barrier))
            return 1;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    say_used();
    return 0;
}

int main(int argc, char **argv)
{
    int count = argc > 3 ? atoi(argv[2]) : 0;

    amount = argc > 3 ? atof(argv[3]) / 1000 : 0;
    if (count < 1 || amount <= 0)
        return 2;
    if (!strcmp(argv[1], "tree"))
        tree(0, count);
    if (!strcmp(argv[1], "chain"))
        return chain(count, argv);
    if (count > THREADS)
        return 2;
    return !strcmp(argv[1], "raw") ? raw(count) : !strcmp(argv[1], "equal") ? equal(count) : 2;
}
