/* Loads shared objects by dlopen when it has run for a while, and works in them: with `run` one, before
 * and after which it works on itself; with `swap` two in turns, so that each comes to lie where the other
 * was. The second argument gives seconds of CPU for each (default 0.3).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include <dlfcn.h>
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

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc > 2)
        seconds = atof(argv[2]);
    if (readlink("/proc/self/exe", folder, sizeof(folder) - 1) < 0)
        return 1;
    *strrchr(folder, '/') = '\0';
    if (argc > 1 && !strcmp(argv[1], "swap")) {
        for (int i = 0; i < 6; i++)
            failed += work_in(i % 2 ? "late_plugin_two" : "late_plugin", seconds / 3);
    } else {
        work_before(seconds);
        failed = work_in("late_plugin", seconds);
        work_after(seconds);
    }
    return failed != 0;
}
