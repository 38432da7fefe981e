/* What bench/sampler.sh profiles: `sampler_work MILLIONS` does so many million steps of arithmetic, 20 frames
 * deep; `sampler_work server SECONDS` has 64 threads that work a little and wait, and prints the KiB resident
 * at the end. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH = 20, THREADS = 64 };

static volatile uint64_t sink;
static volatile int ended;

static __attribute__((noinline)) void work(unsigned depth, uint64_t steps)
{
    uint64_t z = steps;

    if (depth > 1)
        work(depth - 1, steps);
    else
        while (steps--)
            z = z * 6364136223846793005u + 1442695040888963407u;
    sink += z;
}

static void *serve(void *argument)
{
    unsigned depth = (unsigned)(uintptr_t)argument % 40 + 5;

    while (!ended) {
        work(depth, 400000);
        usleep(20000);
    }
    return NULL;
}

static long resident_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Rss: %ld", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib;
}

static int run_server(unsigned seconds)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, serve, (void *)(uintptr_t)i))
            return 1;
    sleep(seconds);
    printf("%ld\n", resident_kib());
    ended = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "server"))
        return run_server((unsigned)atoi(argv[2]));
    if (argc < 2 || atoi(argv[1]) < 1) {
        fputs("usage: sampler_work MILLIONS | server SECONDS\n", stderr);
        return 2;
    }
    work(DEPTH, (uint64_t)atoi(argv[1]) * 1000000u);
    return 0;
}
