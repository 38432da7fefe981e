/* Ends a program by SIGKILL at random moments: `kills COUNT FOLDER AGENT` starts itself COUNT times with the
 * agent, which writes FOLDER/NUMBER.pb, and ends it. For each it prints a line on stdout: the number, the
 * nanoseconds of CPU time from main to the end, 0 where main was not reached, and how often others took the
 * processor from it. It waits until nothing is left of each. The first line is the kernel's tick in
 * nanoseconds. Exit status 1 where something does not end. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST_MS = 400, PATIENCE = 30 };

static uint64_t process_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *spin(void *argument)
{
    for (volatile uint64_t i = 0;; i++)
        ;
    return argument;
}

/* The program: says what it had used when main began, in the page that FD shows, and never ends. */
static int run_program(int fd)
{
    uint64_t used = process_ns();
    volatile uint64_t *begin = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (begin == MAP_FAILED)
        return 1;
    *begin = used;
    spin(NULL);
    return 0;
}

static void start_program(int number, const char *folder, const char *agent, int fd)
{
    char path[4200], name[16];

    snprintf(path, sizeof path, "%s/%d.pb", folder, number);
    setenv("HPPROF_OUT", path, 1);
    setenv("LD_PRELOAD", agent, 1);
    snprintf(name, sizeof name, "%d", fd);
    execl("/proc/self/exe", "kills", name, NULL);
    _exit(127);
}

static uint64_t ns_of(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

/* Returns 0, or -1 where something is left. */
static int run_one(int number, const char *folder, const char *agent)
{
    int fd = memfd_create("begin", 0), status;
    uint64_t *begin, used;
    struct rusage usage;
    pid_t program;

    if (fd < 0 || ftruncate(fd, 4096))
        return -1;
    begin = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    program = fork();
    if (program == 0)
        start_program(number, folder, agent, fd);
    usleep((useconds_t)(random() % (LONGEST_MS * 1000)));
    kill(program, SIGKILL);
    if (begin == MAP_FAILED || wait4(program, &status, 0, &usage) != program)
        return -1;
    used = ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
    printf("%d %lu %ld\n", number, *begin ? used - *begin : 0, usage.ru_nivcsw);
    munmap(begin, 4096);
    close(fd);
    alarm(PATIENCE); /* its writer, which has come to us */
    while (waitpid(-1, &status, __WALL) > 0)
        ;
    alarm(0);
    return errno == ECHILD ? 0 : -1;
}

static void on_alarm(int signal)
{
    (void)signal;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct timespec tick;

    if (argc == 2)
        return run_program(atoi(argv[1]));
    if (argc != 4) {
        fputs("usage: kills COUNT FOLDER AGENT\n", stderr);
        return 2;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigaction(SIGALRM, &action, NULL);
    clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    printf("tick %ld\n", tick.tv_nsec);
    fflush(stdout); /* children have no part of it */
    srandom((unsigned)time(NULL));
    for (int i = 1; i <= atoi(argv[1]); i++)
        if (run_one(i, argv[2], argv[3])) {
            fprintf(stderr, "kills: program %d: something does not end\n", i);
            return 1;
        }
    return 0;
}
