/* A program that keeps account of its descriptors. `list` prints those it has at start, `daemon`
 * closes all but the standard three, opens its own, prints their numbers, works, and then proves
 * that nobody else used them; `all` closes even the standard three and tells its result by its exit
 * status; `syscalls` counts interrupted calls; `coroutine` works on a stack of its own and then opens
 * a file; `log` puts a file in the place of standard error. The second argument gives seconds of CPU (default
 * 0.3). flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

enum { FILES = 24, PIPES = 8 };

static double budget_seconds = 0.3;

BURN_FUNCTION(work, 3)

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int run_list(void)
{
    int numbers[1024], count = 0;
    work(budget_seconds);
    DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory) && count < 1024)
            numbers[count++] = atoi(entry->d_name);
    qsort(numbers, (size_t)count, sizeof(numbers[0]), compare);
    for (int i = 0; i < count; i++)
        printf("%d\n", numbers[i]);
    work(budget_seconds);
    return 0;
}

/* Opens files and pipes, works, and looks whether each file and pipe holds what was put there.
 * Returns how many do not; NUMBERS gets the descriptors. */
static int use_descriptors(int numbers[FILES + 2 * PIPES])
{
    int wrong = 0;
    for (int i = 0; i < FILES; i++) {
        numbers[i] = memfd_create("file", 0);
        wrong += write(numbers[i], "0123456789", 10) != 10;
    }
    for (int i = 0; i < PIPES; i++) {
        int *ends = &numbers[FILES + 2 * i];
        wrong += pipe(ends) || write(ends[1], "pipe", 4) != 4;
    }
    work(budget_seconds);
    for (int i = 0; i < FILES; i++) {
        struct stat stat;
        wrong += fstat(numbers[i], &stat) || stat.st_size != 10 || lseek(numbers[i], 0, SEEK_CUR) != 10;
    }
    for (int i = 0; i < PIPES; i++) {
        char text[16];
        wrong += read(numbers[FILES + 2 * i], text, sizeof(text)) != 4 || memcmp(text, "pipe", 4) != 0;
    }
    return wrong;
}

static int run_daemon(void)
{
    int numbers[FILES + 2 * PIPES];
    work(budget_seconds);
    for (int fd = 3; fd < 65536; fd++)
        close(fd);
    int wrong = use_descriptors(numbers);
    for (int i = 0; i < FILES + 2 * PIPES; i++)
        printf("%d ", numbers[i]);
    printf("\n%d wrong\n", wrong);
    return wrong;
}

static int run_all(void)
{
    int numbers[FILES + 2 * PIPES], sum = 0;
    work(budget_seconds);
    if (close_range(0, ~0u, 0))
        return 100;
    int wrong = use_descriptors(numbers);
    for (int i = 0; i < FILES + 2 * PIPES; i++)
        sum += numbers[i] == i;
    return wrong ? 101 : sum; /* 0, 1, 2, …: as many as it opened */
}

static int run_syscalls(void)
{
    int ends[2], interrupted = 0;
    char byte = 'x';
    if (pipe(ends))
        return 1;
    for (struct burn burn = burn_for(budget_seconds); burn_on(&burn);)
        for (int i = 0; i < 100; i++) {
            interrupted += write(ends[1], &byte, 1) != 1;
            interrupted += read(ends[0], &byte, 1) != 1;
        }
    for (int i = 0; i < 20; i++)
        interrupted += usleep(1000) != 0;
    printf("%d interrupted, errno %d\n", interrupted, interrupted ? errno : 0);
    return 0;
}

static void coroutine(void)
{
    work(budget_seconds);
}

static int run_coroutine(void)
{
    static char stack[256 * 1024];
    ucontext_t outside, inside;
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = sizeof(stack);
    inside.uc_link = &outside;
    makecontext(&inside, coroutine, 0);
    swapcontext(&outside, &inside);
    printf("opened %d\n", open("/dev/null", O_RDONLY));
    return 0;
}

static int run_log(void)
{
    close(2);
    printf("log is %d\n", open("descriptors.log", O_CREAT | O_TRUNC | O_RDWR, 0644));
    work(budget_seconds);
    return write(2, "a line\n", 7) != 7;
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"list", run_list},         {"daemon", run_daemon},       {"all", run_all},
    {"syscalls", run_syscalls}, {"coroutine", run_coroutine}, {"log", run_log},
};

int main(int argc, char **argv)
{
    if (argc > 2)
        budget_seconds = atof(argv[2]);
    for (size_t i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!strcmp(argv[1], cases[i].name))
            return cases[i].run();
    fprintf(stderr, "usage: descriptors CASE [SECONDS]\n");
    return 2;
}
