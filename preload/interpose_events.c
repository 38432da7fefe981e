/* dlclose and prctl: events that the agent must hear of at once. Runs on the target's threads, in place of
 * the real functions, which it always calls. */
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "preload/agent.h"
#include "preload/interpose.h"
#include "profiler/sampler.h"

int dlclose(void *handle);

/* What is loaded next may lie where this lay: samples on both sides of it are told apart by the epoch. */
EXPORT int dlclose(void *handle)
{
    int result;

    atomic_fetch_add(&hpp_sampler.epoch, 1);
    result = REAL(dlclose)(handle);
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
