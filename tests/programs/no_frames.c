/* Code without frame pointers, in four kinds of trouble; each takes some CPU time (default 0.5 s):
 * deep SECONDS: below ten calls. threads: that in three threads at once. loader: while two threads load and
 * unload shared objects and work in them. forks: while three threads work and the first one forks. files:
 * with all descriptors closed, and the high numbers used for a file, in which nobody else may write.
 * flags: -O2 -fomit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

BURN_FUNCTION(bottom, 3)
BURN_CALLER(fourth, bottom)

static __attribute__((noinline)) void third(double budget, int depth)
{
    if (depth)
        third(budget, depth - 1);
    else
        fourth(budget);
    burn_sink++;
}

static __attribute__((noinline)) void second(double budget)
{
    volatile char room[333];
    room[7] = 1;
    third(budget, 6);
    burn_sink += (uint64_t)room[7];
}

static double seconds = 0.5;
static char folder[4096];

static __attribute__((noinline)) void *work(void *unused)
{
    second(seconds);
    burn_sink++;
    return unused;
}

static __attribute__((noinline)) void *load(void *name)
{
    char path[8192];
    double end = burn_clock() + seconds;

    snprintf(path, sizeof(path), "%s/%s", folder, (const char *)name);
    while (burn_clock() < end) {
        void *plugin = dlopen(path, RTLD_NOW);
        void (*run)(double) = plugin ? (void (*)(double))dlsym(plugin, "plugin_run") : NULL;
        if (!run)
            exit(1);
        run(0.001);
        dlclose(plugin);
    }
    return NULL;
}

static int forks(void)
{
    int failed = 0;

    for (int i = 0; i < 100; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            second(seconds / 100);
            exit(0);
        }
        failed += waitpid(child, &status, 0) != child || status != 0;
    }
    return failed;
}

static int files(void)
{
    int memory;
    struct stat status;

    syscall(SYS_close_range, 3u, ~0u, 0u);
    memory = memfd_create("file", 0);
    for (int fd = 150; fd < 250; fd++)
        dup2(memory, fd);
    second(seconds);
    return fstat(memory, &status) || status.st_size != 0 || lseek(memory, 0, SEEK_CUR) != 0 ||
           fcntl(249, F_GETFD) < 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "deep";
    void *(*const routines[3])(void *) = {work, strcmp(mode, "loader") ? work : load,
                                          strcmp(mode, "loader") ? work : load};
    pthread_t threads[3];
    char *const names[3] = {NULL, "late_plugin", "late_plugin_two"};
    int failed = 0;

    if (argc > 2)
        seconds = atof(argv[2]);
    if (readlink("/proc/self/exe", folder, sizeof(folder) - 1) < 0)
        return 1;
    *strrchr(folder, '/') = '\0';
    if (!strcmp(mode, "deep"))
        work(NULL);
    else if (!strcmp(mode, "files"))
        return files();
    else {
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, routines[i], names[i]);
        if (!strcmp(mode, "forks"))
            failed = forks();
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
    }
    puts(failed ? "failed" : "done");
    return failed;
}
