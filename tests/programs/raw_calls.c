/* What programs do by syscall(2): `calls` prints results and errors, `handler` takes SIGPROF for itself,
 * `filter` sets a seccomp filter for all threads that ends the process for nearly any call, as libseccomp
 * does; its threads end, then it exits; `filter_soon` does so while its threads begin, `filter_exit` exits at
 * once. The second argument gives seconds of CPU (default 0.3).
 * flags: -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread */
#include "counted.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_rseq /* Linux 4.18 */
#define SYS_rseq SYS_write
#endif

enum { THREADS = 3 };

static double seconds = 0.3;
static volatile sig_atomic_t caught;

BURN_FUNCTION(work, 3)

/* ---- calls --------------------------------------------------------------------------------------------- */

#define TELL(...) (errno = 0, tell(#__VA_ARGS__, syscall(__VA_ARGS__)))

static void tell(const char *what, long result)
{
    printf("%s: %ld, %s\n", what, result, errno ? strerror(errno) : "no error");
}

static int run_calls(void)
{
    FILE *file = tmpfile();
    char *text;
    long child;
    int status;

    work(seconds);
    if (!file || fseek(file, 2 * sysconf(_SC_PAGESIZE), SEEK_SET) || fputs("sixth argument", file) < 0 ||
        fflush(file))
        return 1;
    text =
        (char *)syscall(SYS_mmap, NULL, 100, PROT_READ, MAP_PRIVATE, fileno(file), 2 * sysconf(_SC_PAGESIZE));
    printf("%s\n", text == MAP_FAILED ? strerror(errno) : text);
    errno = ERANGE;
    syscall(SYS_getpid);
    printf("errno stays: %d\n", errno == ERANGE);
    TELL(SYS_close, -1);
    TELL(-1);
    TELL(SYS_prctl, PR_SET_NAME, "renamed");
    TELL(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL);
    TELL(SYS_prctl, -1);
    TELL(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(uint32_t){SECCOMP_RET_ALLOW});
    TELL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL);
    TELL(SYS_seccomp, -1, 0, NULL);
    TELL(SYS_rt_sigaction, SIGPROF, NULL, NULL, 1);
    TELL(SYS_rt_sigaction, SIGKILL, NULL, NULL, 8);
    fflush(stdout);
    child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (!child)
        syscall(SYS_exit_group, 5);
    printf("child: %d\n", waitpid((pid_t)child, &status, 0) == child ? WEXITSTATUS(status) : -1);
    work(seconds);
    return 0;
}

/* ---- SIGPROF ------------------------------------------------------------------------------------------- */

static void on_signal(int number)
{
    (void)number;
    caught++;
}

static int run_handler(void)
{
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action, seen;
    struct sigaction libc = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    /* the C library's own restorer */
    sigaction(SIGUSR1, &libc, NULL);
    syscall(SYS_rt_sigaction, SIGUSR1, NULL, &action, sizeof action.mask);
    syscall(SYS_rt_sigaction, SIGPROF, &action, &seen, sizeof action.mask);
    printf("SIGPROF was %s\n", seen.handler == SIG_DFL ? "default" : "not default");
    work(seconds);
    raise(SIGPROF);
    raise(SIGPROF);
    work(seconds);
    syscall(SYS_rt_sigaction, SIGPROF, NULL, &seen, sizeof seen.mask);
    printf("handled %d, its own handler stands: %d\n", (int)caught,
           seen.handler == action.handler && seen.flags == action.flags);
    return 0;
}

/* ---- seccomp ------------------------------------------------------------------------------------------- */

static pthread_barrier_t all_there;
static int threads_wait;

static void *thread_root(void *rounds)
{
    if (threads_wait)
        pthread_barrier_wait(&all_there);
    work_in_sandbox(*(uint64_t *)rounds);
    return rounds;
}

/* What the C library needs to begin and end threads, to end the process, and to print. */
static int set_filter(void)
{
    static const unsigned allowed[] = {
        SYS_write,  SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_exit, SYS_exit_group,      SYS_futex,
        SYS_munmap, SYS_madvise,      SYS_mprotect,       SYS_rseq, SYS_set_robust_list,
    };
    enum { ALLOWED = sizeof(allowed) / sizeof(allowed[0]) };
    struct sock_filter filter[1 + 2 * ALLOWED + 1] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    for (int i = 0; i < ALLOWED; i++) {
        filter[1 + 2 * i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        filter[2 + 2 * i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[1 + 2 * ALLOWED] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

static int run_filter_exit(void)
{
    work(seconds);
    printf("filter: %d\n", set_filter());
    exit(8);
}

static int run_filter_soon(void)
{
    uint64_t rounds = rounds_to_work(seconds);
    pthread_t threads[THREADS];

    printf("threads\n"); /* makes the buffer */
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread_root, &rounds);
    if (threads_wait)
        pthread_barrier_wait(&all_there);
    printf("filter: %d\n", set_filter());
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("joined\n");
    exit(3);
}

static int run_filter(void)
{
    threads_wait = 1;
    pthread_barrier_init(&all_there, NULL, THREADS + 1);
    return run_filter_soon();
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"calls", run_calls},
    {"handler", run_handler},
    {"filter", run_filter},
    {"filter_soon", run_filter_soon},
    {"filter_exit", run_filter_exit},
};

int main(int argc, char **argv)
{
    if (argc > 2)
        seconds = atof(argv[2]);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    for (size_t i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!strcmp(argv[1], cases[i].name))
            return cases[i].run();
    fprintf(stderr, "usage: raw_calls CASE [SECONDS]\n");
    return 2;
}
