/* Many threads or children, each of which runs for a moment: `many threads COUNT`, `many forks COUNT`. All
 * must give back what they should, and memory must not grow with their number; children are made by two
 * threads while they run. Says on stderr how much memory grew after the first tenth. Exit status 1 where
 * something is wrong. flags: -pthread */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 16, GROWTH_KIB = 2048 };

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Some hundred microseconds at most, of other length each time. */
static void run_for_a_moment(long i)
{
    double end = cpu_seconds() + (double)(i * 7919 % 300) * 1e-6;
    while (cpu_seconds() < end)
        ;
}

/* KiB of address space (0) or resident (1). */
static long memory(int resident)
{
    long pages[2] = {0, 0};
    FILE *file = fopen("/proc/self/statm", "r");

    if (file && fscanf(file, "%ld %ld", &pages[0], &pages[1]) != 2)
        pages[0] = pages[1] = 0;
    if (file)
        fclose(file);
    return pages[resident] * (sysconf(_SC_PAGESIZE) / 1024);
}

static void *short_thread(void *argument)
{
    run_for_a_moment((long)argument);
    return argument;
}

static long run_threads(long count)
{
    long good = 0, space = 0, resident = 0;

    for (long i = 0; i < count; i += AT_ONCE) {
        pthread_t threads[AT_ONCE];
        long made = 0;
        for (; made < AT_ONCE && i + made < count; made++)
            if (pthread_create(&threads[made], NULL, short_thread, (void *)(i + made)))
                break;
        for (long t = 0; t < made; t++) {
            void *result = NULL;
            good += !pthread_join(threads[t], &result) && result == (void *)(i + t);
        }
        if (i / AT_ONCE == count / AT_ONCE / 10) {
            space = memory(0);
            resident = memory(1);
        }
    }
    space = memory(0) - space;
    resident = memory(1) - resident;
    fprintf(stderr, "grew by %ld KiB of address space, %ld KiB resident\n", space, resident);
    return space > GROWTH_KIB || resident > GROWTH_KIB ? -1 : good;
}

static void *fork_many(void *argument)
{
    long count = *(long *)argument, *good = argument;

    *good = 0;
    for (long i = 0; i < count; i++) {
        int status = -1, code = (int)(i % 100);
        pid_t child = fork();
        if (child == 0) {
            for (int more = i % 16 ? 1 : 40; more > 0; more--) /* some long enough for a profile */
                run_for_a_moment(i);
            _exit(code);
        }
        run_for_a_moment(i);
        *good += child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                 WEXITSTATUS(status) == code;
    }
    return NULL;
}

static long run_forks(long count)
{
    long half[2] = {count / 2, count - count / 2};
    pthread_t other;

    if (pthread_create(&other, NULL, fork_many, &half[0]))
        return -1;
    fork_many(&half[1]);
    pthread_join(other, NULL);
    return half[0] + half[1];
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? atol(argv[2]) : 0, good;

    if (count < 1 || (strcmp(argv[1], "threads") && strcmp(argv[1], "forks"))) {
        fputs("usage: many threads|forks COUNT\n", stderr);
        return 2;
    }
    good = !strcmp(argv[1], "threads") ? run_threads(count) : run_forks(count);
    printf("%ld of %ld %s as they should\n", good, count, argv[1]);
    return good != count;
}
