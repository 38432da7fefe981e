/* Loads a shared object by dlopen when it has run for a while, and works in it; then unloads it and
 * works on itself. The second argument gives seconds of CPU for each (default 0.3); the
 * first is not looked at.
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include <dlfcn.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

BURN_FUNCTION(work_before, 3)
BURN_FUNCTION(work_after, 5)

int main(int argc, char **argv)
{
    double seconds = argc > 2 ? atof(argv[2]) : 0.3;
    char self[4096] = "", path[8192];
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        return 1;
    work_before(seconds);
    snprintf(path, sizeof(path), "%s/late_plugin", dirname(self));
    void *plugin = dlopen(path, RTLD_NOW);
    void (*run)(double) = plugin ? (void (*)(double))dlsym(plugin, "plugin_run") : NULL;
    if (!run) {
        fprintf(stderr, "late: %s\n", dlerror());
        return 1;
    }
    run(seconds);
    printf("dlclose %d\n", dlclose(plugin));
    work_after(seconds);
    return 0;
}
