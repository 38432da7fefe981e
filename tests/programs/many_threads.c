/* Many threads: `one_by_one COUNT` makes and joins them one after the other, `at_once COUNT` has all of them
 * there together before the first ends, each burning 0.1 ms in work_inside. `server COUNT SECONDS` has them
 * work in turns, as a server's do, most of them waiting. `deep CALLS` burns so many calls of dig deep, until
 * standard input ends. Prints `threads: N` and `used: MS` of the first thread's CPU time, and for one_by_one
 * `growth: KIB` of resident memory and `mappings: N` that came after the first half of the threads.
 * flags: -pthread */
#include "burn.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

BURN_FUNCTION(work_inside, 33)

static pthread_barrier_t all_there;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static double server_seconds;

static BURN_OPAQUE void dig(int depth)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};

    if (depth) {
        dig(depth - 1);
    } else {
        while (!poll(&input, 1, 0))
            work_inside(0.01);
    }
    burn_sink++;
}

static void *short_thread(void *argument)
{
    work_inside(0.0001);
    return argument;
}

static void *waiting_thread(void *argument)
{
    work_inside(0.0001);
    pthread_barrier_wait(&all_there);
    return argument;
}

static void *server_thread(void *argument)
{
    for (double end = burn_clock() + server_seconds; burn_clock() < end;) {
        pthread_mutex_lock(&turn);
        work_inside(0.002);
        pthread_mutex_unlock(&turn);
        usleep(1000);
    }
    return argument;
}

static long resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    if (fscanf(file, "%*d %ld", &pages) != 1)
        abort();
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE) / 1024;
}

static int mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    int lines = 0, c;

    while ((c = getc(file)) != EOF)
        lines += c == '\n';
    fclose(file);
    return lines;
}

static int one_by_one(int count)
{
    long resident = 0;
    int lines = 0, made = 0;

    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (i == count / 2) {
            resident = resident_kib();
            lines = mappings();
        }
        if (!pthread_create(&thread, NULL, short_thread, NULL) && !pthread_join(thread, NULL))
            made++;
    }
    printf("growth: %ld\nmappings: %d\n", resident_kib() - resident, mappings() - lines);
    return made;
}

static int at_once(int count, void *(*routine)(void *))
{
    pthread_t *threads = malloc((size_t)count * sizeof *threads);
    pthread_attr_t attributes;
    int made = 0;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_barrier_init(&all_there, NULL, (unsigned)count);
    for (; made < count && !pthread_create(&threads[made], &attributes, routine, NULL); made++)
        ;
    if (made < count)
        return -1; /* those that there are wait for ever, but for the process's end */
    for (int i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return made;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int count = argc > 2 ? atoi(argv[2]) : 0, made = 0;

    server_seconds = argc > 3 ? atof(argv[3]) : 1;
    if (!strcmp(what, "one_by_one"))
        made = one_by_one(count);
    else if (!strcmp(what, "at_once"))
        made = at_once(count, waiting_thread);
    else if (!strcmp(what, "server"))
        made = at_once(count, server_thread);
    else
        dig(count);
    printf("threads: %d\nused: %.0f\n", made, burn_clock() * 1e3);
    return made < 0;
}
