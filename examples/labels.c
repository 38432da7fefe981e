/* A server with two kinds of requests, on two threads, that tells the profiler which one it works on,
 * profiles only its second phase, and has the profile on disk before it says so.
 *
 *     cc -O2 -I include examples/labels.c -o labels -pthread
 *     HPPROF_START=off hpprof record -o labels.pb -- ./labels
 *     go tool pprof -tags labels.pb
 *
 * Without the agent it runs as it is. */
#include <hpprof.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint32_t kinds[2];

static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void work(double seconds)
{
    double end = cpu_seconds() + seconds;

    while (cpu_seconds() < end)
        for (volatile int i = 0; i < 10000; i++)
            ;
}

/* A request: its samples have its label, what was before it comes back after it. */
static void serve(unsigned kind)
{
    uint32_t before = hpp_label_swap(kinds[kind]);

    work(kind ? 0.0033 : 0.0011); /* not in step with the kernel's ticks */
    hpp_label_swap(before);
}

static void *worker(void *requests)
{
    for (int i = 0; i < *(int *)requests; i++)
        serve((unsigned)i % 2);
    return NULL;
}

static void run(int requests)
{
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, worker, &requests);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

int main(int count, char **arguments)
{
    int requests = count > 1 ? atoi(arguments[1]) : 400;

    kinds[0] = hpp_label_intern("request", "search");
    kinds[1] = hpp_label_intern("request", "checkout");
    run(requests); /* with HPPROF_START=off not in the profile */
    hpp_start();
    run(requests);
    hpp_stop();
    if (hpp_flush() == 0)
        puts("the profile is on disk");
    puts("served");
    return 0;
}
