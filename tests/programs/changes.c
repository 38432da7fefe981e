/* Works in its text while memory comes and goes all the time. `threads`: in eight of them. `left`: first, 400
 * times, a handler leaves munmap by a jump. The second argument gives seconds of CPU (default 2).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include "padding.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

BURN_FUNCTION(work, 3)

enum { THREADS = 8, SIZE = 1 << 20 };

static atomic_int ended, failed;

static void *change(void *nothing)
{
    while (!atomic_load(&ended)) {
        char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || mprotect(memory, SIZE / 2, PROT_NONE) || munmap(memory, SIZE))
            atomic_fetch_add(&failed, 1);
    }
    return nothing;
}

static sigjmp_buf out;
static volatile sig_atomic_t unmapping;

static void leave(int number)
{
    (void)number;
    if (unmapping)
        siglongjmp(out, 1);
}

/* Leaves munmap so often. */
static void leave_calls(volatile int times)
{
    struct itimerval every = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};

    signal(SIGALRM, leave);
    setitimer(ITIMER_REAL, &every, NULL);
    while (times) {
        void *memory =
            mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED)
            abort();
        if (sigsetjmp(out, 1)) {
            unmapping = 0;
            times--;
            continue;
        }
        unmapping = 1;
        munmap(memory, SIZE);
        unmapping = 0;
    }
    setitimer(ITIMER_REAL, &never, NULL);
}

int main(int argc, char **argv)
{
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    int threads = argc > 1 && !strcmp(argv[1], "threads") ? THREADS : 0;
    pthread_t thread[THREADS];

    if (argc > 1 && !strcmp(argv[1], "left"))
        leave_calls(400);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, change, NULL))
            return 1;
    work(seconds);
    atomic_store(&ended, 1);
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("%d failed\n", atomic_load(&failed));
    return 0;
}
