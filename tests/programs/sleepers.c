/* Threads that wait, each in a way of its own below a chain of functions of known names, and one that runs:
 *     NAME_leaf, called by NAME_middle, called by NAME_root, called by NAME
 * for the names sleeping, futex, reading, epoll, sigwaiting, semaphore, running; `handler_leaf` waits in a
 * signal's function on an alternate stack above `handled_root`; jit_leaf is called by code made at run time
 * that keeps a frame pointer, lost_leaf by such code that leaves no trace. Nothing ever wakes them. Prints
 * `ready`, reads standard input to its end below main_leaf, prints `calls that returned: N` (0: nobody
 * disturbed them). flags: -O2 -fomit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "padding.h"
#include <dirent.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_int returned, began;
static int pipe_ends[2], poll_fd, semaphore_id;
static volatile uint64_t sink;
static volatile int start_depth = 3;

/* CHAIN(name) { the leaf's body }: the functions named above. */
#define CHAIN(name)                                                         \
    static __attribute__((noinline)) void name##_leaf(volatile int *local); \
    static __attribute__((noinline)) void name##_middle(int depth)          \
    {                                                                       \
        volatile int local[40] = {depth};                                   \
        name##_leaf(local);                                                 \
        sink += (uint64_t)local[0];                                         \
    }                                                                       \
    static __attribute__((noinline)) void name##_root(int depth)            \
    {                                                                       \
        name##_middle(depth + 1);                                           \
        sink++;                                                             \
    }                                                                       \
    static void *name(void *argument)                                       \
    {                                                                       \
        pthread_setname_np(pthread_self(), #name);                          \
        began++;                                                            \
        name##_root(start_depth);                                           \
        returned++;                                                         \
        return argument;                                                    \
    }                                                                       \
    static __attribute__((noinline)) void name##_leaf(volatile int *local)

CHAIN(sleeping)
{
    struct timespec time = {1000, local[0]};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

CHAIN(futex)
{
    int word = local[0];
    syscall(SYS_futex, &word, FUTEX_WAIT, word, NULL, NULL, 0);
}

CHAIN(reading)
{
    char byte;
    local[1] = (int)read(pipe_ends[0], &byte, 1);
}

CHAIN(epoll)
{
    struct epoll_event event;
    local[1] = epoll_wait(poll_fd, &event, 1, -1);
}

CHAIN(sigwaiting)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    local[1] = sigtimedwait(&set, NULL, NULL);
}

CHAIN(semaphore)
{
    struct sembuf operation = {0, -1, 0};
    local[1] = semop(semaphore_id, &operation, 1);
}

CHAIN(running)
{
    for (;;)
        sink = sink * 3 + (uint64_t)local[0];
}

static __attribute__((noinline)) void handler_leaf(int number)
{
    struct timespec time = {1000, number};
    nanosleep(&time, NULL);
    returned++;
}

static void handler(int number)
{
    handler_leaf(number);
    sink++;
}

CHAIN(handled)
{
    static char memory[65536];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    pthread_kill(pthread_self(), SIGUSR1);
    sink += (uint64_t)local[0];
}

/* Copies CODE into memory of its own and calls it with FUNCTION. */
static void call_code(const unsigned char *code, size_t size, void (*function)(void))
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, size);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    ((void (*)(void (*)(void)))page)(function);
    sink++;
}

static __attribute__((noinline)) void wait_below(void)
{
    struct timespec time = {1000, 1};
    nanosleep(&time, NULL);
    returned++;
}

static __attribute__((noinline)) void wait_far_below(void)
{
    struct timespec time = {1000, 2};
    nanosleep(&time, NULL);
    returned++;
}

CHAIN(jit)
{
    /* push rbp; mov rbp, rsp; call rdi; pop rbp; ret */
    static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
    call_code(code, sizeof(code), wait_below);
    sink += (uint64_t)local[0];
}

CHAIN(lost)
{
    /* push rbp; xor ebp, ebp; call rdi; pop rbp; ret */
    static const unsigned char code[] = {0x55, 0x31, 0xed, 0xff, 0xd7, 0x5d, 0xc3};
    call_code(code, sizeof(code), wait_far_below);
    sink += (uint64_t)local[0];
}

static __attribute__((noinline)) int main_leaf(void)
{
    char bytes[256];
    ssize_t got;
    while ((got = read(0, bytes, sizeof(bytes))) > 0)
        ;
    return got < 0;
}

/* Whether all threads but this one and the one that runs are asleep. */
static int all_asleep(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int awake = 0;

    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
        char path[300], text[512] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        const char *state = file && fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
        awake += state && state[2] != 'S';
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return awake <= 2;
}

int main(void)
{
    void *(*const routines[])(void *) = {sleeping,  futex,   reading, epoll, sigwaiting,
                                         semaphore, running, handled, jit,   lost};
    enum { COUNT = sizeof(routines) / sizeof(routines[0]) };
    pthread_t thread;
    sigset_t set;
    int failed;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    poll_fd = epoll_create1(0);
    semaphore_id = semget(IPC_PRIVATE, 1, 0600);
    if (pipe(pipe_ends) || poll_fd < 0 || semaphore_id < 0)
        return 1;
    for (int i = 0; i < COUNT; i++)
        if (pthread_create(&thread, NULL, routines[i], NULL))
            return 1;
    while (began < COUNT || !all_asleep())
        usleep(1000);
    puts("ready");
    fflush(stdout);
    failed = main_leaf();
    printf("calls that returned: %d\n", returned + failed);
    fflush(stdout);
    semctl(semaphore_id, 0, IPC_RMID);
    _exit(0);
}
