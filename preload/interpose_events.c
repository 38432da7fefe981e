/* dlclose, prctl, wait for whatever child: events that the agent must hear of at once. Runs on the target's
 * threads, in place of the real functions, which it always calls. */
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "preload/agent.h"
#include "preload/interpose.h"
#include "profiler/sampler.h"
#include "profiler/walk_libunwind.h"
#include "profiler/writer.h"

int dlclose(void *handle);

/* What is loaded next may lie where this lay: samples on both sides of it are told apart by the epoch. */
EXPORT int dlclose(void *handle)
{
    int result;

    atomic_fetch_add(&hpp_sampler.epoch, 1);
    hpp_walk_libunwind_pause();
    result = REAL(dlclose)(handle);
    hpp_walk_libunwind_flush();
    hpp_walk_libunwind_resume(0);
    atomic_fetch_add(&hpp_sampler.epoch, 1);
    return result;
}

/* A seccomp filter may end the program for a system call that it does not know: from here on the agent
 * makes none in the program. Set before the call, as a signal may come right after it. */
EXPORT int prctl(int option, ...)
{
    unsigned long a, b, c, d;
    va_list list;
    int before, result;

    va_start(list, option);
    a = va_arg(list, unsigned long);
    b = va_arg(list, unsigned long);
    c = va_arg(list, unsigned long);
    d = va_arg(list, unsigned long);
    va_end(list);
    if (option != PR_SET_SECCOMP || !hpp_agent_is_active())
        return REAL(prctl)(option, a, b, c, d);
    before = atomic_exchange(&hpp_sampler.sandboxed, 1);
    result = REAL(prctl)(option, a, b, c, d);
    if (result < 0)
        atomic_store(&hpp_sampler.sandboxed, before);
    return result;
}

/* Before a wait that would see the writer too. */
static void before_wait(int options)
{
    if (options & (__WALL | __WCLONE) && hpp_agent_is_active())
        hpp_writer_hide();
}

EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    before_wait(options);
    return REAL(wait4)(pid, status, options, usage);
}

EXPORT pid_t wait3(int *status, int options, struct rusage *usage)
{
    before_wait(options);
    return REAL(wait3)(status, options, usage);
}

EXPORT pid_t waitpid(pid_t pid, int *status, int options)
{
    before_wait(options);
    return REAL(waitpid)(pid, status, options);
}

EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    before_wait(options);
    return REAL(waitid)(type, id, info, options);
}
