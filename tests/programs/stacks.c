/* Works on stacks that are not a thread's own, or unusual, as the first argument says: `altstack` in a
 * handler on the alternate stack, `coroutine` on stacks that are unmapped as soon as they are left,
 * `given` on a stack given to pthread_create, `deep` below 5,000 frames, `wide` below 6 MiB of locals,
 * `overflow` after stacks that overflowed, `jit` in code without a file, `jit_grows` in more and more of it.
 * The second argument gives seconds of CPU (default 0.3).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "burn.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

enum { STACK_SIZE = 256 * 1024 };

static double budget_seconds = 0.3;

BURN_FUNCTION(work_main, 3)
BURN_FUNCTION(work_inside, 5)

static void *map_stack(void)
{
    void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        abort();
    return stack;
}

static void on_signal(int number)
{
    (void)number;
    work_inside(budget_seconds);
}

static int run_altstack(void)
{
    stack_t stack = {.ss_sp = map_stack(), .ss_size = STACK_SIZE};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    work_main(budget_seconds);
    raise(SIGUSR1);
    printf("handled\n");
    return 0;
}

static ucontext_t outside, inside;

static void coroutine(void)
{
    work_inside(budget_seconds / 50);
    swapcontext(&inside, &outside);
}

static int run_coroutine(void)
{
    int count = 0;
    for (int i = 0; i < 50; i++) {
        void *stack = map_stack();
        getcontext(&inside);
        inside.uc_stack.ss_sp = stack;
        inside.uc_stack.ss_size = STACK_SIZE;
        inside.uc_link = &outside;
        makecontext(&inside, coroutine, 0);
        swapcontext(&outside, &inside);
        munmap(stack, STACK_SIZE);
        work_main(budget_seconds / 50);
        count++;
    }
    printf("%d coroutines\n", count);
    return 0;
}

static void *thread_root(void *argument)
{
    work_inside(budget_seconds);
    return argument;
}

static int run_given(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *stack = map_stack();
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, STACK_SIZE);
    int result = pthread_create(&thread, &attributes, thread_root, NULL);
    if (!result)
        pthread_join(thread, NULL);
    munmap(stack, STACK_SIZE);
    work_main(budget_seconds);
    printf("pthread_create %d\n", result);
    return 0;
}

static __attribute__((noinline)) int descend(int depth)
{
    if (depth == 0) {
        work_inside(budget_seconds);
        return 1;
    }
    int result = descend(depth - 1) + 1;
    burn_sink++;
    return result;
}

static int run_deep(void)
{
    work_main(budget_seconds);
    printf("%d frames\n", descend(5000));
    return 0;
}

static int run_wide(void)
{
    volatile char locals[6 << 20];
    locals[0] = 1;
    work_inside(budget_seconds);
    work_main(budget_seconds);
    printf("%d\n", locals[0]);
    return 0;
}

static __thread sigjmp_buf before_overflow;

static void on_overflow(int number)
{
    siglongjmp(before_overflow, number);
}

static __attribute__((noinline)) int overflow(volatile char *above)
{
    volatile char room[256];
    room[0] = above ? (char)(above[0] + 1) : 1;
    return burn_sink ? overflow(room) + room[0] : 0; /* it has worked */
}

/* Works, overflows its stack, handles that on an alternate one, and goes on. */
static void *overflow_root(void *work)
{
    stack_t stack = {.ss_sp = map_stack(), .ss_size = STACK_SIZE};
    int count = 0;
    sigaltstack(&stack, NULL);
    for (volatile int i = 0; i < 20; i++) {
        ((void (*)(double))work)(budget_seconds / 20);
        if (!sigsetjmp(before_overflow, 1))
            overflow(NULL);
        count++;
    }
    printf("overflowed %d times\n", count);
    return NULL;
}

static int run_overflow(void)
{
    struct rlimit limit = {8 << 20, RLIM_INFINITY};
    struct sigaction action = {.sa_handler = on_overflow, .sa_flags = SA_ONSTACK};
    pthread_attr_t attributes;
    pthread_t thread;
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 8 << 20;
    setrlimit(RLIMIT_STACK, &limit);
    sigaction(SIGSEGV, &action, NULL);
    overflow_root(work_main);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    if (!pthread_create(&thread, &attributes, overflow_root, work_inside))
        pthread_join(thread, NULL);
    return 0;
}

/* mov $50000000,%ecx; 1: dec %ecx; jnz 1b; ret */
static const unsigned char code[] = {0xb9, 0x80, 0xf0, 0xfa, 0x02, 0xff, 0xc9, 0x75, 0xfc, 0xc3};

static void *map_code(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        abort();
    return pages;
}

static void work_in_code(char *at)
{
    for (struct burn burn = burn_for(budget_seconds); burn_on(&burn);)
        ((void (*)(void))at)();
}

static int run_jit(void)
{
    char *page = map_code(4096);
    memcpy(page, code, sizeof(code));
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC))
        return 1;
    work_in_code(page);
    munmap(page, 4096);
    work_main(budget_seconds);
    printf("ran\n");
    return 0;
}

/* First its first page is executable, then more of it. */
static int run_jit_grows(void)
{
    char *pages = map_code(1 << 20);
    memcpy(pages, code, sizeof(code));
    memcpy(pages + 0x8000, code, sizeof(code));
    if (mprotect(pages, 4096, PROT_READ | PROT_EXEC))
        return 1;
    work_in_code(pages);
    work_main(budget_seconds);
    if (mprotect(pages, 0x10000, PROT_READ | PROT_EXEC))
        return 1;
    work_in_code(pages + 0x8000);
    printf("ran\n");
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"altstack", run_altstack},   {"coroutine", run_coroutine}, {"given", run_given},
    {"deep", run_deep},           {"wide", run_wide},           {"jit", run_jit},
    {"jit_grows", run_jit_grows}, {"overflow", run_overflow},
};

int main(int argc, char **argv)
{
    if (argc > 2)
        budget_seconds = atof(argv[2]);
    for (size_t i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!strcmp(argv[1], cases[i].name))
            return cases[i].run();
    fprintf(stderr, "usage: stacks CASE [SECONDS]\n");
    return 2;
}
