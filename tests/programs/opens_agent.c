/* Loads the shared object of the first argument by dlopen and works in the main thread and in one that it
 * makes. `symbol` as second argument: by the pthread_create that is looked up in that object. `close`: it
 * then closes the object and works on. The third gives seconds of CPU for each (default 0.3).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double seconds = 0.3;

BURN_FUNCTION(work_main, 3)
BURN_FUNCTION(work_thread, 5)
BURN_FUNCTION(work_after, 7)

static void *thread_root(void *argument)
{
    work_thread(seconds);
    return argument;
}

int main(int argc, char **argv)
{
    __typeof__(&pthread_create) create = pthread_create;
    const char *how = argc > 2 ? argv[2] : "";
    pthread_t thread;
    if (argc > 3)
        seconds = atof(argv[3]);
    void *object = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_GLOBAL);
    if (object && !strcmp(how, "symbol"))
        create = (__typeof__(create))dlsym(object, "pthread_create");
    if (!object || !create) {
        fprintf(stderr, "opens_agent: %s\n", dlerror());
        return 1;
    }
    work_main(seconds);
    if (create(&thread, NULL, thread_root, NULL) || pthread_join(thread, NULL))
        return 1;
    if (!strcmp(how, "close"))
        printf("dlclose %d\n", dlclose(object));
    work_after(seconds);
    printf("done\n");
    return 0;
}
