/* A library to preload that does nothing, for bench/sampler.sh: what loading any costs. With EMPTY_FREQ set,
 * the main thread gets so many SIGPROF a CPU-second from a perf task clock, and the handler is empty: what
 * signals cost. */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void empty_handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
}

static __attribute__((constructor)) void start(void)
{
    const char *frequency = getenv("EMPTY_FREQ");
    struct sigaction action = {.sa_sigaction = empty_handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE,
                                    .size = sizeof event,
                                    .config = PERF_COUNT_SW_TASK_CLOCK,
                                    .exclude_kernel = 1,
                                    .wakeup_events = 1};
    struct f_owner_ex owner = {F_OWNER_TID, gettid()};
    int fd;

    if (!frequency || atoi(frequency) < 1)
        return;
    event.sample_period = 1000000000u / (unsigned)atoi(frequency);
    sigfillset(&action.sa_mask);
    sigaction(SIGPROF, &action, NULL);
    fd = (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0 || fcntl(fd, F_SETOWN_EX, &owner) || fcntl(fd, F_SETSIG, SIGPROF) ||
        fcntl(fd, F_SETFL, O_ASYNC))
        _exit(1);
}
