/* What signals can break, as the first argument says: `waits` makes calls that a signal would interrupt, busy
 * in between, in two threads; `execs` has children that are busy and execute a program without the agent.
 * Prints what went wrong, which must be nothing. flags: -fno-omit-frame-pointer -pthread */
#include "burn.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static BURN_OPAQUE void burn(double seconds)
{
    for (struct burn work = burn_for(seconds); burn_on(&work);)
        for (int i = 0; i < 2000; i++)
            burn_sink = burn_sink * 5 + (uint64_t)i;
}

static void *wait_often(void *interrupted)
{
    struct timespec moment = {0, 20000};
    int ends[2];

    if (pipe(ends))
        return NULL;
    for (int i = 0; i < 1500; i++) {
        struct pollfd poll_end = {.fd = ends[0], .events = POLLIN};
        burn(0.0002);
        *(int *)interrupted += nanosleep(&moment, NULL) < 0 && errno == EINTR;
        if (i % 20 == 0)
            *(int *)interrupted += poll(&poll_end, 1, 1) < 0 && errno == EINTR;
    }
    return NULL;
}

static int run_waits(void)
{
    int interrupted[2] = {0, 0};
    pthread_t thread;

    if (pthread_create(&thread, NULL, wait_often, &interrupted[0]))
        return 1;
    wait_often(&interrupted[1]);
    pthread_join(thread, NULL);
    printf("%d calls interrupted\n", interrupted[0] + interrupted[1]);
    return 0;
}

static int run_execs(void)
{
    int bad = 0;

    unsetenv("LD_PRELOAD");
    for (int i = 0; i < 60; i++) {
        int status;
        pid_t child = fork();
        if (!child) {
            burn(0.005);
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status)
            bad++;
    }
    printf("%d bad endings\n", bad);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "waits"))
        return run_waits();
    if (argc > 1 && !strcmp(argv[1], "execs"))
        return run_execs();
    fprintf(stderr, "usage: worst_moments CASE\n");
    return 2;
}
