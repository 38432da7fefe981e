/* Threads that libc knows nothing of: three made by a raw clone, on stacks and, if the first argument is
 * `tls`, with thread-local storage of their own; without it they share the main thread's. The second argument
 * gives the seconds of CPU of each. The main thread sleeps; with `busy` as the third argument it works as
 * long. flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-stack-protector */
#include "burn.h"
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 3, STACK = 256 << 10 };

static double seconds = 1;
static volatile int running[THREADS];

BURN_FUNCTION(work_main, 3)
BURN_FUNCTION(work_raw, 5)

static int raw_root(void *name)
{
    /* nothing that sets errno, which may be another thread's */
    prctl(PR_SET_NAME, name);
    work_raw(seconds);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const names[THREADS] = {"raw-one", "raw-two", "raw-three"};
    static _Alignas(64) void *blocks[THREADS][512];
    int has_tls = argc > 1 && !strcmp(argv[1], "tls");

    if (argc > 2)
        seconds = atof(argv[2]);
    for (int i = 0; i < THREADS; i++) {
        char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                    CLONE_CHILD_CLEARTID | (has_tls ? CLONE_SETTLS : 0);
        void **block = &blocks[i][256];
        if (stack == MAP_FAILED)
            return 1;
        block[0] = block[2] = block; /* %fs:0 is itself */
        running[i] = 1;
        if (clone(raw_root, stack + STACK, flags, (void *)names[i], NULL, block, &running[i]) < 0)
            return 1;
    }
    if (argc > 3)
        work_main(seconds);
    for (int i = 0; i < THREADS; i++)
        while (running[i])
            syscall(SYS_futex, &running[i], FUTEX_WAIT, 1, NULL, NULL, 0);
    printf("raw threads ended\n");
    return 0;
}
