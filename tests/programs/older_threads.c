/* Loads the shared object of the first argument by dlopen, from a thread if the second is `thread`, while two
 * other threads are there that work on for as many seconds of CPU as the third says.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double seconds = 0.5;
static pthread_barrier_t there;

BURN_FUNCTION(work_older, 3)
BURN_FUNCTION(work_loader, 5)

static void *older(void *argument)
{
    pthread_barrier_wait(&there);
    pthread_setname_np(pthread_self(), "older");
    work_older(seconds);
    return argument;
}

static void *load(void *path)
{
    if (!dlopen(path, RTLD_NOW | RTLD_GLOBAL)) {
        fprintf(stderr, "older_threads: %s\n", dlerror());
        exit(1);
    }
    pthread_barrier_wait(&there);
    work_loader(seconds);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2], loader;

    if (argc < 4)
        return 2;
    seconds = atof(argv[3]);
    pthread_barrier_init(&there, NULL, 3);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, older, NULL))
            return 1;
    if (strcmp(argv[2], "thread"))
        load(argv[1]);
    else if (pthread_create(&loader, NULL, load, argv[1]) || pthread_join(loader, NULL))
        return 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("done\n");
    return 0;
}
