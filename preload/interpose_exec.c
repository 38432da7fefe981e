/* exec and its kin: what the process has used until then is this program's, what it uses afterwards is the
 * next one's. An interval timer outlives them (HPPROF_TIMER=itimer), and what is executed need not have a
 * handler for its signal. Runs on the target's threads, in place of the real functions, which it calls. */
#include <alloca.h>
#include <stdarg.h>
#include <unistd.h>

#include "preload/agent.h"
#include "preload/exec_mark.h"
#include "preload/interpose.h"
#include "profiler/accounts.h"
#include "profiler/handler.h"
#include "profiler/sampler.h"
#include "profiler/source.h"

enum how { BY_PATH, BY_SEARCH, BY_DESCRIPTOR };

static int call(enum how how, const char *file, int fd, char *const arguments[], char *const environment[])
{
    return how == BY_PATH     ? REAL(execve)(file, arguments, environment)
           : how == BY_SEARCH ? REAL(execvpe)(file, arguments, environment)
                              : REAL(fexecve)(fd, arguments, environment);
}

/* It comes back if it failed. */
static int execute(enum how how, const char *file, int fd, char *const arguments[], char *const environment[])
{
    int pauses = hpp_sampler.timer == HPP_TIMER_ITIMER, got;
    char mark[HPP_EXEC_MARK_SIZE], **marked;
    size_t count = 0;

    if (!hpp_agent_is_active()) { /* or a vfork child */
        hpp_handler_before_exec();
        got = call(how, file, fd, arguments, environment);
        hpp_handler_after_exec();
        return got;
    }
    if (pauses)
        hpp_timer_itimer_stop();
    hpp_accounts_exec(1);
    while (environment && environment[count])
        count++;
    marked = alloca((count + 2) * sizeof *marked);
    hpp_exec_mark_put(environment, marked, mark, hpp_accounts_exec_cpu());
    hpp_handler_before_exec();
    got = call(how, file, fd, arguments, marked);
    hpp_handler_after_exec();
    hpp_accounts_exec(0);
    if (pauses)
        hpp_timer_itimer_arm(NULL);
    return got;
}

EXPORT int execve(const char *path, char *const arguments[], char *const environment[])
{
    return execute(BY_PATH, path, -1, arguments, environment);
}

EXPORT int execv(const char *path, char *const arguments[])
{
    return execute(BY_PATH, path, -1, arguments, environ);
}

EXPORT int execvp(const char *file, char *const arguments[])
{
    return execute(BY_SEARCH, file, -1, arguments, environ);
}

EXPORT int execvpe(const char *file, char *const arguments[], char *const environment[])
{
    return execute(BY_SEARCH, file, -1, arguments, environment);
}

EXPORT int fexecve(int fd, char *const arguments[], char *const environment[])
{
    return execute(BY_DESCRIPTOR, NULL, fd, arguments, environment);
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
