/* exec and its kin: what the process has used until then is this program's, what it uses afterwards is not.
 * And an interval timer outlives them (HPPROF_TIMER=itimer), and what is executed need not have a handler for
 * its signal. Runs on the target's threads, in place of the real functions, which it calls. */
#include <alloca.h>
#include <stdarg.h>
#include <unistd.h>

#include "preload/agent.h"
#include "preload/interpose.h"
#include "profiler/accounts.h"
#include "profiler/sampler.h"
#include "profiler/source.h"

/* Around a real call: it comes back if it failed. */
#define WITHOUT_TIMER(call)                                                               \
    ({                                                                                    \
        int pauses = hpp_sampler.timer == HPP_TIMER_ITIMER && hpp_agent_is_active(), got; \
        if (pauses)                                                                       \
            hpp_timer_itimer_stop();                                                      \
        if (hpp_agent_is_active())                                                        \
            hpp_accounts_exec(1);                                                         \
        got = (call);                                                                     \
        if (hpp_agent_is_active())                                                        \
            hpp_accounts_exec(0);                                                         \
        if (pauses)                                                                       \
            hpp_timer_itimer_arm(NULL);                                                   \
        got;                                                                              \
    })

EXPORT int execve(const char *path, char *const arguments[], char *const environment[])
{
    return WITHOUT_TIMER(REAL(execve)(path, arguments, environment));
}

EXPORT int execv(const char *path, char *const arguments[])
{
    return WITHOUT_TIMER(REAL(execv)(path, arguments));
}

EXPORT int execvp(const char *file, char *const arguments[])
{
    return WITHOUT_TIMER(REAL(execvp)(file, arguments));
}

EXPORT int execvpe(const char *file, char *const arguments[], char *const environment[])
{
    return WITHOUT_TIMER(REAL(execvpe)(file, arguments, environment));
}

EXPORT int fexecve(int fd, char *const arguments[], char *const environment[])
{
    return WITHOUT_TIMER(REAL(fexecve)(fd, arguments, environment));
}

/* The arguments of execl and its kin as an array ARGUMENTS of the caller's; LIST is left behind the NULL. */
#define COLLECT(arguments, first, list)                                    \
    do {                                                                   \
        va_list counted;                                                   \
        size_t count = 1;                                                  \
        va_copy(counted, list);                                            \
        while (va_arg(counted, char *))                                    \
            count++;                                                       \
        va_end(counted);                                                   \
        arguments = alloca((count + 1) * sizeof *arguments);               \
        arguments[0] = (char *)first;                                      \
        for (size_t i = 1; i <= count; i++)                                \
            arguments[i] = arguments[i - 1] ? va_arg(list, char *) : NULL; \
    } while (0)

EXPORT int execl(const char *path, const char *first, ...)
{
    char **arguments;
    va_list list;

    va_start(list, first);
    COLLECT(arguments, first, list);
    va_end(list);
    return execv(path, arguments);
}

EXPORT int execlp(const char *file, const char *first, ...)
{
    char **arguments;
    va_list list;

    va_start(list, first);
    COLLECT(arguments, first, list);
    va_end(list);
    return execvp(file, arguments);
}

EXPORT int execle(const char *path, const char *first, ...)
{
    char **arguments, **environment;
    va_list list;

    va_start(list, first);
    COLLECT(arguments, first, list);
    environment = va_arg(list, char **);
    va_end(list);
    return execve(path, arguments, environment);
}
