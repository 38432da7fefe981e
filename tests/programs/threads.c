/* Threads, as the first argument says: `named` runs four that name themselves, each in a function of
 * its own; `short` runs forty one after the other, too short for a timer alone; `nested` has threads
 * that make threads; `smallest` runs four at a time on stacks as small as they may be; `detached` leaves them
 * running at the end of main; `space` prints the most KiB of address space that eight had. The second
 * argument gives the seconds of CPU of each (default 0.3).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double seconds = 0.3;

BURN_FUNCTION(work_reader, 3)
BURN_FUNCTION(work_writer, 5)
BURN_FUNCTION(work_cleaner, 7)
BURN_FUNCTION(work_keeper, 11)

static struct worker {
    const char *name;
    void (*work)(double seconds);
} workers[] = {
    {"reader", work_reader},
    {"writer", work_writer},
    {"cleaner", work_cleaner},
    {"keeper", work_keeper},
};

enum { WORKERS = sizeof(workers) / sizeof(workers[0]) };

static __attribute__((noinline)) void *thread_root(void *argument)
{
    struct worker *worker = argument;
    pthread_setname_np(pthread_self(), worker->name);
    worker->work(seconds);
    return argument;
}

static int run_named(void)
{
    pthread_t threads[WORKERS];
    int returned = 0;
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&threads[i], NULL, thread_root, &workers[i]))
            return 1;
    for (int i = 0; i < WORKERS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        returned += result == &workers[i];
    }
    printf("%d threads returned what they should\n", returned);
    return 0;
}

static int run_short(void)
{
    int done = 0;
    seconds /= 10;
    for (int i = 0; i < 40; i++) {
        pthread_t thread;
        done += !pthread_create(&thread, NULL, thread_root, &workers[0]) && !pthread_join(thread, NULL);
    }
    printf("%d short threads\n", done);
    return 0;
}

static int run_smallest(void)
{
    pthread_attr_t attributes;
    pthread_t threads[WORKERS];
    int done = 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
    seconds /= 10;
    for (int round = 0; round < 10; round++) {
        int made = 0;
        while (made < WORKERS && !pthread_create(&threads[made], &attributes, thread_root, &workers[made]))
            made++;
        while (made)
            done += !pthread_join(threads[--made], NULL);
    }
    printf("%d threads\n", done);
    return 0;
}

static void *nest(void *argument)
{
    pthread_t thread;
    thread_root(&workers[1]);
    if (!pthread_create(&thread, NULL, thread_root, &workers[2]))
        pthread_join(thread, NULL);
    return argument;
}

static int run_nested(void)
{
    pthread_t thread;
    if (!pthread_create(&thread, NULL, nest, NULL))
        pthread_join(thread, NULL);
    printf("nested threads\n");
    return 0;
}

static void *spin_forever(void *argument)
{
    for (;;)
        thread_root(argument);
    return NULL;
}

static int run_detached(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 65536);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&thread, &attributes, spin_forever, &workers[i]))
            return 1;
    work_keeper(seconds);
    printf("main leaves\n");
    return 3;
}

static int run_space(void)
{
    char line[128];
    FILE *status;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, thread_root, &workers[0]))
            return 1;
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "VmPeak:", 7))
            printf("%d\n", atoi(line + 7));
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {{"named", run_named},       {"short", run_short},       {"nested", run_nested},
             {"smallest", run_smallest}, {"detached", run_detached}, {"space", run_space}};

int main(int argc, char **argv)
{
    if (argc > 2)
        seconds = atof(argv[2]);
    for (size_t i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!strcmp(argv[1], cases[i].name))
            return cases[i].run();
    fprintf(stderr, "usage: threads CASE [SECONDS]\n");
    return 2;
}
