/* A program most of whose time goes into 16 MiB of its text, a function a page, that the agent can move while
 * it runs:
 *     moved work SECONDS     calls them all over, and checks what they return
 *     moved forks SECONDS    the same, and now and then a fork child calls every one of them
 *     moved crash SECONDS    works, then writes to address 0 in inner(), called by middle() and outer()
 *     moved later SECONDS    says `ready`, waits for a line, and works
 *     moved tight SECONDS    works with 24 MiB left of RLIMIT_AS, and maps 21 of these again and again
 *     moved thrown SECONDS   works, throws its text away, to be read again, and calls all of it
 *     moved wait SECONDS     works, says `ready`, and calls probed() for every line that it reads
 * Prints what was done; exit status 1 if a result was wrong.
 * flags: -no-pie -fno-omit-frame-pointer -fno-optimize-sibling-calls */
#include "burn.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FUNCTIONS = 4095 };

/* Function number i counts down from 300 and returns its argument plus i. probed(), where a probe can be set,
 * is in the first page of these 16 MiB, which no read of what is beside them brings into the page cache, and
 * returns its argument. */
__asm__(".pushsection .text.unlikely.work, \"ax\", @progbits\n.balign 0x200000\n"
        ".type probed, @function\nprobed:\n mov %edi, %eax\n ret\n.size probed, . - probed\n"
        ".balign 4096, 0xcc\n.globl work_all\n.type work_all, @function\n.set work_i, 0\nwork_all:\n"
        ".rept 4095\n push %rbp\n mov %rsp, %rbp\n lea work_i(%rdi), %rax\n mov $300, %ecx\n1: dec %ecx\n "
        "jnz 1b\n"
        " pop %rbp\n ret\n .balign 4096, 0xcc\n .set work_i, work_i + 1\n.endr\n"
        ".size work_all, . - work_all\n.popsection\n"
        ".pushsection .text.zz_padding, \"ax\", @progbits\n.fill 2 << 20, 1, 0xcc\n.popsection\n");
extern char work_all[];
int probed(int number);

static int call(unsigned long i)
{
    return ((unsigned long (*)(unsigned long))(uintptr_t)(work_all + i * 4096))(7) != 7 + i;
}

static int call_every(void)
{
    int wrong = 0;

    for (unsigned long i = 0; i < FUNCTIONS; i++)
        wrong += call(i);
    return wrong;
}

/* Returns wrong results. */
static BURN_OPAQUE int work(double seconds)
{
    uint64_t seed = 1;
    int wrong = 0;

    for (struct burn burn = burn_for(seconds); burn_on(&burn);)
        for (int i = 0; i < 1000; i++)
            wrong += call(burn_random(&seed) % FUNCTIONS);
    return wrong;
}

static int forks(double seconds)
{
    int children = 0, failed = 0, wrong = 0, status;

    for (double end = burn_clock() + seconds; burn_clock() < end; children++) {
        pid_t child = fork();
        if (!child)
            _exit(call_every() != 0);
        wrong += work(0.002);
        failed += waitpid(child, &status, 0) != child || status;
    }
    printf("%d children: %d failed\n", children, failed);
    return failed || wrong;
}

/* How much address space is left below LIMIT. */
static size_t left_below(const struct rlimit *limit)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    if (!file || fscanf(file, "%zu", &pages) != 1)
        exit(2);
    fclose(file);
    return limit->rlim_cur - pages * 4096;
}

static int in_tight_space(double seconds)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY}, now;
    int failed = 0, wrong = 0;

    if (!getrlimit(RLIMIT_AS, &now))
        limit.rlim_max = now.rlim_max;
    limit.rlim_cur = RLIM_INFINITY - left_below(&limit) + (24 << 20);
    if (setrlimit(RLIMIT_AS, &limit))
        return 2;
    for (double end = burn_clock() + seconds; burn_clock() < end;) {
        size_t size = left_below(&limit) - (3 << 20);
        void *made = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        wrong += work(0.0002);
        failed += made == MAP_FAILED || munmap(made, size);
    }
    printf("%d failed\n%d wrong\n", failed, wrong);
    return failed || wrong;
}

static BURN_OPAQUE void inner(volatile int *at)
{
    *at = 1;
}
static BURN_OPAQUE void middle(volatile int *at)
{
    inner(at);
    burn_sink++;
}
static BURN_OPAQUE void outer(volatile int *at)
{
    middle(at);
    burn_sink++;
}

static int wait_for_lines(void)
{
    char line[64];
    int number = 0;

    puts("ready");
    fflush(stdout);
    for (; fgets(line, sizeof line, stdin); number++)
        printf("called %d\n", probed(number));
    return 0;
}

static int throw_away(void)
{
    int error = madvise(work_all - 4096, (FUNCTIONS + 1) * 4096, MADV_DONTNEED), wrong = call_every();

    printf("thrown away: %d, then %d wrong\n", error, wrong);
    return error || wrong;
}

int main(int argc, char **argv)
{
    double seconds = argc > 2 ? atof(argv[2]) : 0.3;
    int wrong;

    if (argc > 1 && !strcmp(argv[1], "forks"))
        return forks(seconds);
    if (argc > 1 && !strcmp(argv[1], "tight"))
        return in_tight_space(seconds);
    if (argc > 1 && !strcmp(argv[1], "later")) {
        puts("ready");
        fflush(stdout);
        getchar();
    }
    wrong = work(seconds);
    printf("%d wrong\n", wrong);
    fflush(stdout);
    if (argc > 1 && !strcmp(argv[1], "thrown"))
        return throw_away();
    if (argc > 1 && !strcmp(argv[1], "crash"))
        outer(NULL);
    if (argc > 1 && !strcmp(argv[1], "wait"))
        return wait_for_lines();
    return wrong != 0;
}
