/* Reading memory that may not be there, through the kernel. */
#include "profiler/checked_read.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "profiler/sampler.h"

enum { PAGE = 4096, DESCRIPTORS = 1024 };

static const uint64_t words[4] = {0x1111, 0x2222222222222222, 0x3333, UINT64_MAX};

static uint64_t address(const void *at)
{
    return (uint64_t)(uintptr_t)at;
}

/* Which descriptors are open. Returns how many. */
static int descriptors(unsigned char open[DESCRIPTORS])
{
    int count = 0;

    for (int fd = 0; fd < DESCRIPTORS; fd++)
        count += open[fd] = fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Runs CHECK in a process of its own: what the reader remembers of its pipe begins and ends there. */
static void in_child(int (*check)(void))
{
    int status;
    pid_t child = fork();

    if (!child)
        _exit(check());
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status)
        fail_msg("step %d failed (signal %d)", WEXITSTATUS(status), WTERMSIG(status));
}

#define STEP(number, condition) \
    do {                        \
        if (!(condition))       \
            return number;      \
    } while (0)

static int reads_well(void)
{
    uint64_t first = 0, second = 0;

    for (int i = 0; i < 3; i++)
        if (hpp_checked_read(address(words + i), &first, &second) || first != words[i] ||
            second != words[i + 1])
            return 0;
    return hpp_checked_read(8, &first, &second) == -EFAULT;
}

/* The pipe's ends after a call that makes it: exactly two, high, closed on exec. */
static int find_pipe(const unsigned char before[DESCRIPTORS], int ends[2])
{
    unsigned char after[DESCRIPTORS];
    int found = 0;

    descriptors(after);
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        if (before[fd] || !after[fd])
            continue;
        if (found == 2 || fd < 200 || !(fcntl(fd, F_GETFD) & FD_CLOEXEC) ||
            !(fcntl(fd, F_GETFL) & O_NONBLOCK))
            return 0;
        ends[found++] = fd;
    }
    return found == 2;
}

static int made_at_first_need(void)
{
    unsigned char before[DESCRIPTORS];
    int ends[2], lowest = dup(0);

    close(lowest);
    descriptors(before);
    STEP(1, reads_well());
    STEP(2, find_pipe(before, ends));
    STEP(3, dup(0) == lowest);
    STEP(4, reads_well());
    return 0;
}

/* With threads about, no descriptor may be made: it reads all the same. */
static int not_made_with_threads(void)
{
    unsigned char before[DESCRIPTORS], after[DESCRIPTORS];

    descriptors(before);
    hpp_checked_read_set_threaded();
    STEP(1, reads_well());
    descriptors(after);
    STEP(2, !memcmp(before, after, sizeof before));
    return 0;
}

/* Under a seccomp filter any call may end the program: none is made, nothing is readable. */
static int sandboxed(void)
{
    unsigned char before[DESCRIPTORS], after[DESCRIPTORS];
    uint64_t first, second;

    descriptors(before);
    atomic_store(&hpp_sampler.sandboxed, 1);
    STEP(1, hpp_checked_read(address(words), &first, &second) == -EFAULT);
    descriptors(after);
    STEP(2, !memcmp(before, after, sizeof before));
    return 0;
}

static int no_descriptor_left(void)
{
    unsigned char before[DESCRIPTORS], after[DESCRIPTORS];

    while (open("/dev/null", O_RDONLY) >= 0)
        ;
    descriptors(before);
    STEP(1, hpp_checked_read_open() < 0);
    STEP(2, reads_well());
    descriptors(after);
    STEP(3, !memcmp(before, after, sizeof before));
    return 0;
}

/* The program closes all descriptors and opens files of its own: their numbers are those of the pipe. */
static int closed_and_reused(void)
{
    static const char content[] = "the program's own";
    unsigned char before[DESCRIPTORS];
    char name[] = "/tmp/hpprof-file-XXXXXX", now[64];
    int ends[2], file = mkstemp(name);

    unlink(name);
    STEP(1, write(file, content, sizeof content) == sizeof content && !lseek(file, 0, SEEK_SET));
    descriptors(before);
    STEP(2, !hpp_checked_read_open() && find_pipe(before, ends) && reads_well());
    hpp_checked_read_set_threaded();
    STEP(3, dup2(file, ends[0]) == ends[0] && dup2(file, ends[1]) == ends[1]);
    for (int i = 0; i < 100; i++)
        STEP(4, reads_well());
    STEP(5, lseek(file, 0, SEEK_CUR) == 0); /* nothing was read from it */
    STEP(6, read(file, now, sizeof now) == sizeof content && !memcmp(now, content, sizeof content));
    return 0;
}

/* Only one end taken, by another pipe: nothing may land in that. */
static int one_end_reused(void)
{
    unsigned char before[DESCRIPTORS];
    int other[2], ends[2];
    char byte;

    STEP(1, !pipe2(other, O_NONBLOCK));
    for (int end = 0; end < 2; end++) {
        descriptors(before);
        STEP(2, !hpp_checked_read_open() && find_pipe(before, ends));
        STEP(3, dup2(other[end], ends[end]) == ends[end]);
        hpp_checked_read_set_threaded();
        STEP(4, reads_well() && reads_well());
        STEP(5, read(other[0], &byte, 1) == -1 && errno == EAGAIN);
    }
    return 0;
}

static int closed(void)
{
    unsigned char before[DESCRIPTORS];
    int ends[2], next;

    descriptors(before);
    STEP(1, !hpp_checked_read_open() && find_pipe(before, ends));
    hpp_checked_read_set_threaded();
    close(ends[0]);
    STEP(2, reads_well());
    close(ends[1]);
    STEP(3, reads_well());
    next = open("/dev/zero", O_RDONLY);
    STEP(4, reads_well() && fcntl(next, F_GETFD) >= 0);
    return 0;
}

/* A fork child's pipe is its own: bytes of the parent's must never come out of it. */
static int forked(void)
{
    unsigned char before[DESCRIPTORS];
    struct stat parent, child;
    int ends[2], status;
    pid_t pid;

    descriptors(before);
    STEP(1, !hpp_checked_read_open() && find_pipe(before, ends));
    STEP(2, !fstat(ends[0], &parent));
    pid = fork();
    if (!pid) {
        hpp_checked_read_after_fork();
        STEP(3, find_pipe(before, ends) && !fstat(ends[0], &child));
        STEP(4, child.st_ino != parent.st_ino && reads_well());
        _exit(0);
    }
    waitpid(pid, &status, 0);
    STEP(5, status == 0 && reads_well());
    return 0;
}

static void test_made_at_first_need(void **state)
{
    (void)state;
    in_child(made_at_first_need);
}

static void test_descriptors(void **state)
{
    (void)state;
    in_child(not_made_with_threads);
    in_child(sandboxed);
    in_child(no_descriptor_left);
}

static void test_closed_by_program(void **state)
{
    (void)state;
    in_child(closed_and_reused);
    in_child(one_end_reused);
    in_child(closed);
}

static void test_forked(void **state)
{
    (void)state;
    in_child(forked);
}

/* ---- what it reads; by both ways --------------------------------------------------------------------- */

static int addresses(void)
{
    static const uint64_t nowhere[] = {
        0, 8, 0x7fffffffffff8, (uint64_t)1 << 63, UINT64_MAX - 15, UINT64_MAX - 7};
    char *pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t first, second;

    mprotect(pages + PAGE, PAGE, PROT_NONE);
    munmap(pages + 3 * PAGE, PAGE);
    memcpy(pages + PAGE - 16, words, 16);
    for (int round = 0; round < 50; round++) { /* an error leaves nothing behind for the next */
        STEP(1, reads_well());
        STEP(2, !hpp_checked_read(address(pages + PAGE - 16), &first, &second));
        STEP(3, first == words[0] && second == words[1]);
        STEP(4, hpp_checked_read(address(pages + PAGE - 8), &first, &second) == -EFAULT); /* half there */
        STEP(5, hpp_checked_read(address(pages + PAGE), &first, &second) == -EFAULT);
        STEP(6, hpp_checked_read(address(pages + 3 * PAGE - 8), &first, &second) == -EFAULT);
        STEP(7, !hpp_checked_read(address(pages + 2 * PAGE), &first, &second) && !first && !second);
        for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
            STEP(8, hpp_checked_read(nowhere[i], &first, &second) == -EFAULT);
    }
    errno = 77;
    hpp_checked_read(8, &first, &second);
    STEP(9, errno == 77);
    return 0;
}

static int addresses_without_pipe(void)
{
    hpp_checked_read_set_threaded();
    return addresses();
}

static void test_addresses(void **state)
{
    (void)state;
    in_child(addresses);
    in_child(addresses_without_pipe);
}

static uint64_t *page_of_pattern(void *at)
{
    uint64_t *page =
        mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);

    for (int i = 0; i < PAGE / 8; i++)
        page[i] = (uint64_t)i * 0x0101010101010101;
    return page;
}

enum { THREADS = 4, READS = 40000 };
static uint64_t *steady, *fleeting;
static atomic_int wrong, seen[2], running;

/* Half of the reads are of a page that stays, half of one that another thread maps and unmaps. */
static void *read_both_pages(void *seed)
{
    unsigned random = (unsigned)(uintptr_t)seed;

    for (int i = 0; i < READS; i++) {
        uint64_t at = (uint64_t)rand_r(&random) % (PAGE / 8 - 1), first, second;
        int error = hpp_checked_read(address(steady + at), &first, &second);
        if (error || first != at * 0x0101010101010101 || second != (at + 1) * 0x0101010101010101)
            atomic_fetch_add(&wrong, 1);
        error = hpp_checked_read(address(fleeting + at), &first, &second);
        atomic_fetch_add(&seen[error != 0], 1);
        /* a page just mapped is zero until it is filled */
        if (error ? error != -EFAULT
                  : (first && first != at * 0x0101010101010101) ||
                        (second && second != (at + 1) * 0x0101010101010101))
            atomic_fetch_add(&wrong, 1);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static int many_threads(void)
{
    pthread_t threads[THREADS];

    steady = page_of_pattern(NULL);
    fleeting = page_of_pattern(NULL);
    atomic_store(&running, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        STEP(1, !pthread_create(&threads[i], NULL, read_both_pages, (void *)(i + 1)));
    while (atomic_load(&running)) {
        munmap(fleeting, PAGE);
        page_of_pattern(fleeting);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    STEP(2, !atomic_load(&wrong));
    STEP(3, atomic_load(&seen[0]) + atomic_load(&seen[1]) == THREADS * READS);
    return 0;
}

static int many_threads_with_pipe(void)
{
    STEP(9, !hpp_checked_read_open());
    hpp_checked_read_set_threaded();
    return many_threads();
}

static void test_many_threads(void **state)
{
    (void)state;
    in_child(many_threads_with_pipe);
    in_child(many_threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_at_first_need), cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_closed_by_program),  cmocka_unit_test(test_forked),
        cmocka_unit_test(test_addresses),          cmocka_unit_test(test_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
