/* Stacks that do not end, or do not go on, in the usual way; `odd_stacks KIND` prints `ready` and stays
 * there: deep N     N calls of deep_leaf, then a wait null       below caller_leaf a call of address 0, whose
 * SIGSEGV's function waits coroutine  inner_leaf, called by coroutine_entry, which makecontext made left the
 * main thread has ended, another waits below left_leaf clock      asks for the time in asking_leaf, all the
 * time flags: -O2 -fomit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int sink, ended;
static void (*volatile nothing)(void);

static __attribute__((noinline)) void wait_here(void)
{
    puts("ready");
    fflush(stdout);
    while (!ended)
        pause();
}

static __attribute__((noinline)) void deep_leaf(int depth)
{
    volatile char frame[200] = {(char)depth};

    if (depth > 1)
        deep_leaf(depth - 1);
    else
        wait_here();
    sink += frame[0];
}

static void waiting_handler(int number)
{
    wait_here();
    sink = number;
}

static __attribute__((noinline)) void caller_leaf(void)
{
    nothing();
    sink++;
}

static ucontext_t back, inside;

static __attribute__((noinline)) void inner_leaf(void)
{
    wait_here();
    sink++;
}

static void coroutine_entry(void)
{
    inner_leaf();
    sink++;
}

static void run_coroutine(void)
{
    static char stack[65536];

    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = sizeof(stack);
    inside.uc_link = &back;
    makecontext(&inside, coroutine_entry, 0);
    swapcontext(&back, &inside);
}

/* Whether the process's first thread has ended: it stays, as a zombie. */
static int main_has_ended(void)
{
    char text[512] = "";
    FILE *file = fopen("/proc/self/stat", "r");
    const char *state = file && fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;

    if (file)
        fclose(file);
    return !state || state[2] == 'Z';
}

static __attribute__((noinline)) void *left_leaf(void *argument)
{
    while (!main_has_ended())
        usleep(1000);
    wait_here();
    return argument;
}

static __attribute__((noinline)) void asking_leaf(void)
{
    struct timespec now;

    puts("ready");
    fflush(stdout);
    for (;;)
        clock_gettime(CLOCK_MONOTONIC, &now);
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    pthread_t thread;

    if (!strcmp(kind, "deep") && argc == 3) {
        deep_leaf(atoi(argv[2]));
    } else if (!strcmp(kind, "null")) {
        signal(SIGSEGV, waiting_handler);
        caller_leaf();
    } else if (!strcmp(kind, "coroutine")) {
        run_coroutine();
    } else if (!strcmp(kind, "left")) {
        if (!pthread_create(&thread, NULL, left_leaf, NULL))
            pthread_exit(NULL);
    } else if (!strcmp(kind, "clock")) {
        asking_leaf();
    }
    return 2;
}
