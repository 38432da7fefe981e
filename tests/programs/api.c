/* api WHAT: what programs do with hpprof.h, with the agent or without. */
/* flags: -Iinclude -pthread */
#include <hpprof.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "burn.h"

#define SECONDS 0.5

BURN_FUNCTION(burn, 3)
BURN_CALLER(burn_labelled, burn)
BURN_CALLER(burn_before, burn)
BURN_CALLER(burn_stopped, burn)
BURN_CALLER(burn_after, burn)

/* ---- labels ------------------------------------------------------------------------------------------- */

static void run_labels(void)
{
    uint32_t one = hpp_label_intern("request", "one"), two = hpp_label_intern("request", "two");
    uint32_t trace = hpp_label_intern("trace", "4bf92f3577b34da6"), before;

    burn_before(SECONDS);
    before = hpp_label_swap(one);
    burn_labelled(SECONDS);
    printf("back to one: %d\n", hpp_label_swap(two) == one);
    burn_labelled(SECONDS);
    printf("back to two: %d\n", hpp_label_swap(trace) == two);
    burn_labelled(SECONDS);
    hpp_label_swap(before);
    burn_after(SECONDS);
}

static void *labelled_thread(void *value)
{
    hpp_label_swap(hpp_label_intern("thread-of", value));
    burn_labelled(SECONDS);
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[2];

    pthread_create(&threads[0], NULL, labelled_thread, "first");
    pthread_create(&threads[1], NULL, labelled_thread, "second");
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    puts("joined");
}

/* Coroutines take their labels with them. */
static ucontext_t scheduler, coroutine[2];
static uint32_t coroutine_label[2];

static void switch_in(int index)
{
    uint32_t own = hpp_label_swap(coroutine_label[index]);

    swapcontext(&scheduler, &coroutine[index]);
    coroutine_label[index] = hpp_label_swap(own);
}

static void coroutine_body(int index)
{
    hpp_label_swap(hpp_label_intern("coroutine", index ? "b" : "a"));
    for (;;) {
        burn(0.01);
        swapcontext(&coroutine[index], &scheduler);
    }
}

static void run_coroutines(void)
{
    for (int i = 0; i < 2; i++) {
        getcontext(&coroutine[i]);
        coroutine[i].uc_stack.ss_sp = malloc(1 << 16);
        coroutine[i].uc_stack.ss_size = 1 << 16;
        makecontext(&coroutine[i], (void (*)(void))coroutine_body, 1, i);
    }
    for (int i = 0; i < 300; i++)
        switch_in(i % 3 == 2);
    printf("own label: %d\n", (int)hpp_label_swap(0));
}

static void run_fork(void)
{
    uint32_t label = hpp_label_intern("family", "yes");
    int status;

    hpp_label_swap(label);
    if (!fork()) {
        burn_labelled(SECONDS);
        _exit(hpp_label_intern("family", "yes") != label);
    }
    wait(&status);
    printf("the child's number is ours: %d\n", status == 0);
}

static void run_table(void)
{
    char value[32], longer[400];
    unsigned numbers = 0, again = 0;

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    printf("own, empty and missing: %u %u %u %u %u\n", hpp_label_intern("tid", "1"),
           hpp_label_intern("", "x"), hpp_label_intern("x", ""), hpp_label_intern(NULL, "x"),
           hpp_label_intern("x", NULL));
    hpp_label_intern(longer, longer);
    for (unsigned i = 0; i < 70000; i++) {
        snprintf(value, sizeof value, "%u", i);
        numbers += hpp_label_intern("n", value) != 0;
    }
    for (unsigned i = 0; i < 70000; i++) {
        snprintf(value, sizeof value, "%u", i);
        again += hpp_label_intern("n", value) != 0;
    }
    printf("numbers %u, again %u\n", numbers, again);
    hpp_label_swap(hpp_label_intern("n", "7"));
    burn_labelled(SECONDS);
}

/* ---- start, stop, flush ------------------------------------------------------------------------------- */

static void run_stop(void)
{
    int stopped, started;

    burn_before(SECONDS);
    stopped = hpp_stop();
    burn_stopped(SECONDS);
    started = hpp_start();
    burn_after(SECONDS);
    printf("stop %d, start %d\n", stopped, started);
}

enum { WAITING, STOPPED, LEAVING, STARTED };
static volatile int ready, phase;

static void wait_until(volatile int *what, int value)
{
    while (*what < value)
        usleep(1000);
}

static void *thread_during(void *unused)
{
    while (phase == STOPPED)
        burn_stopped(0.001);
    ready++;
    wait_until(&phase, STARTED);
    burn_after(SECONDS);
    return unused;
}

static void *thread_before(void *unused)
{
    burn_before(SECONDS);
    ready++;
    wait_until(&phase, STOPPED);
    return thread_during(unused);
}

static void *thread_of_the_stop(void *unused)
{
    burn_stopped(SECONDS);
    return unused;
}

/* A thread from before the stop, one that begins while it stands, and one that begins and ends then. */
static void run_stop_threads(void)
{
    pthread_t threads[3];

    pthread_create(&threads[0], NULL, thread_before, NULL);
    wait_until(&ready, 1);
    hpp_stop();
    phase = STOPPED;
    pthread_create(&threads[1], NULL, thread_during, NULL);
    pthread_create(&threads[2], NULL, thread_of_the_stop, NULL);
    burn_stopped(SECONDS);
    pthread_join(threads[2], NULL);
    phase = LEAVING;
    wait_until(&ready, 3);
    hpp_start();
    phase = STARTED;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    puts("joined");
}

static void run_flush(void)
{
    burn_before(SECONDS);
    printf("flush %d\n", hpp_flush());
    fflush(stdout);
    if (system("cp x.pb flushed.pb 2>/dev/null || true"))
        puts("no shell");
    burn_after(SECONDS);
}

static void run_many(void)
{
    for (int i = 0; i < 2000; i++) {
        hpp_stop();
        hpp_start();
    }
    burn_after(SECONDS);
    puts("2000 times");
}

static volatile int storm_is_over;

static void *storm_thread(void *unused)
{
    hpp_label_swap(hpp_label_intern("storm", "yes"));
    burn(0.0005);
    return unused;
}

static void *storm_threads(void *unused)
{
    while (!storm_is_over) {
        pthread_t thread;
        if (!pthread_create(&thread, NULL, storm_thread, NULL))
            pthread_join(thread, NULL);
    }
    return unused;
}

static void *storm_stops(void *unused)
{
    for (unsigned i = 0; !storm_is_over; i++) {
        hpp_stop();
        hpp_start();
        if (i % 64 == 0)
            hpp_flush();
    }
    return unused;
}

/* Threads begin and end while others stop, start and flush: no timer is left over. */
static void run_storm(void)
{
    pthread_t threads[6];
    char line[256];
    int timers = 0;
    FILE *file;

    for (int i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, i < 4 ? storm_threads : storm_stops, NULL);
    usleep(1500000);
    storm_is_over = 1;
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    hpp_start();
    file = fopen("/proc/self/timers", "r");
    while (file && fgets(line, sizeof line, file))
        timers += !strncmp(line, "ID:", 3);
    if (file)
        fclose(file);
    printf("more timers than threads: %d\n", timers > 1);
    burn_after(SECONDS);
}

static void run_toggle(void)
{
    burn_before(SECONDS);
    raise(SIGUSR2);
    burn_stopped(SECONDS);
    raise(SIGUSR2);
    burn_after(SECONDS);
    puts("toggled");
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {{"labels", run_labels},
               {"threads", run_threads},
               {"coroutines", run_coroutines},
               {"fork", run_fork},
               {"table", run_table},
               {"stop", run_stop},
               {"toggle", run_toggle},
               {"stop_threads", run_stop_threads},
               {"flush", run_flush},
               {"many", run_many},
               {"storm", run_storm}};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (count > 1 && !strcmp(arguments[1], all[i].name)) {
            all[i].run();
            return 0;
        }
    fprintf(stderr, "usage: api WHAT\n");
    return 2;
}
