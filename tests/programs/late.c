/* Loads shared objects by dlopen when it has run for a while, and works in them: with `run` one, before
 * and after which it works on itself; with `swap` two in turns, so that each comes to lie where the other
 * was. The second argument gives seconds of CPU for each (default 0.3). With `rounds` and a count: so often
 * both, one after the other, with two threads at work in each, 8 ms. With `many`, a count and seconds: so
 * many, named late_plugin.1 and so on in the present folder, which stay. flags: -fno-omit-frame-pointer
 * -fno-optimize-sibling-calls */
#include "burn.h"
#include "padding.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

BURN_FUNCTION(work_before, 3)
BURN_FUNCTION(work_after, 5)

static double seconds = 0.3;
static char folder[4096];

/* Works for BUDGET in the shared object NAME, loaded only for that. */
static int work_in(const char *name, double budget)
{
    char path[8192];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    void *plugin = dlopen(path, RTLD_NOW);
    void (*run)(double) = plugin ? (void (*)(double))dlsym(plugin, "plugin_run") : NULL;
    if (!run) {
        fprintf(stderr, "late: %s\n", dlerror());
        return 1;
    }
    run(budget);
    printf("dlclose %d\n", dlclose(plugin));
    return 0;
}

static void *in_thread(void *run)
{
    ((void (*)(double))run)(0.008);
    return NULL;
}

/* As work_in, with two threads. */
static int round_in(const char *name)
{
    char path[8192];
    pthread_t thread;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    void *plugin = dlopen(path, RTLD_NOW);
    void *run = plugin ? dlsym(plugin, "plugin_run") : NULL;
    if (!run || pthread_create(&thread, NULL, in_thread, run))
        return 1;
    in_thread(run);
    pthread_join(thread, NULL);
    return dlclose(plugin) != 0;
}

static int work_in_many(int count, double budget)
{
    for (int i = 1; i <= count; i++) {
        char path[64];
        snprintf(path, sizeof(path), "./late_plugin.%d", i);
        void *plugin = dlopen(path, RTLD_NOW);
        void (*run)(double) = plugin ? (void (*)(double))dlsym(plugin, "plugin_run") : NULL;
        if (!run)
            return 1;
        run(budget);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc > 3 && !strcmp(argv[1], "many"))
        return work_in_many(atoi(argv[2]), atof(argv[3]));
    if (argc > 2)
        seconds = atof(argv[2]);
    if (readlink("/proc/self/exe", folder, sizeof(folder) - 1) < 0)
        return 1;
    *strrchr(folder, '/') = '\0';
    if (argc > 2 && !strcmp(argv[1], "rounds")) {
        for (int i = 0; i < atoi(argv[2]); i++)
            failed += round_in(i % 2 ? "late_plugin_two" : "late_plugin");
        printf("%d rounds failed\n", failed);
    } else if (argc > 1 && !strcmp(argv[1], "swap")) {
        for (int i = 0; i < 6; i++)
            failed += work_in(i % 2 ? "late_plugin_two" : "late_plugin", seconds / 3);
    } else {
        work_before(seconds);
        failed = work_in("late_plugin", seconds);
        work_after(seconds);
    }
    return failed != 0;
}
