/* dlclose, prctl, syscall, wait for whatever child: events that the agent must hear of at
 * once. Runs on the target's threads, in place of the real functions, which it always calls. */
#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/sys.h"
#include "preload/agent.h"
#include "preload/interpose.h"
#include "preload/remap/move_guard.h"
#include "preload/threads.h"
#include "profiler/handler.h"
#include "profiler/sampler.h"
#include "profiler/walk_libunwind.h"
#include "profiler/writer.h"

int dlclose(void *handle);

/* What is loaded next may lie where this lay: samples on both sides of it are told apart by the epoch. */
EXPORT int dlclose(void *handle)
{
    unsigned change;
    int result;

    atomic_fetch_add(&hpp_sampler.epoch, 1);
    hpp_walk_libunwind_pause();
    change = hpp_guard_before_change(0, UINT64_MAX);
    result = REAL(dlclose)(handle);
    hpp_guard_after_change(change);
    hpp_walk_libunwind_flush();
    hpp_walk_libunwind_resume(0);
    atomic_fetch_add(&hpp_sampler.epoch, 1);
    return result;
}

/* A seccomp filter may end the program for a system call that it does not know: from here on the agent
 * makes none in the program. Set before the call, as a signal may come right after it. */
#define INTO_SANDBOX(call)                                       \
    ({                                                           \
        int before = atomic_exchange(&hpp_sampler.sandboxed, 1); \
        hpp_thread_let_others_finish();                          \
        __typeof__(call) got = (call);                           \
        if (got < 0)                                             \
            atomic_store(&hpp_sampler.sandboxed, before);        \
        got;                                                     \
    })

EXPORT int prctl(int option, ...)
{
    unsigned long a, b, c, d;
    va_list list;

    va_start(list, option);
    a = va_arg(list, unsigned long);
    b = va_arg(list, unsigned long);
    c = va_arg(list, unsigned long);
    d = va_arg(list, unsigned long);
    va_end(list);
    if (option != PR_SET_SECCOMP || !hpp_agent_is_active())
        return REAL(prctl)(option, a, b, c, d);
    return INTO_SANDBOX(REAL(prctl)(option, a, b, c, d));
}

/* ---- syscall (arch/) ----------------------------------------------------------------------------------- */

static int sets_filter(int number, int operation)
{
    return number == SYS_prctl ? operation == PR_SET_SECCOMP
                               : number == SYS_seccomp && (operation == SECCOMP_SET_MODE_STRICT ||
                                                           operation == SECCOMP_SET_MODE_FILTER);
}

long hpp_syscall_failed(long result)
{
    errno = (int)-result;
    return -1;
}

long hpp_syscall_told(long number, long a, long b, long c, long d, long e, long f)
{
    long result;

    if ((int)number == SYS_rt_sigaction && (int)a == SIGPROF && d == sizeof(uint64_t) &&
        hpp_agent_is_active())
        result = hpp_handler_program_action((const struct hpp_kernel_sigaction *)b,
                                            (struct hpp_kernel_sigaction *)c);
    else if (sets_filter((int)number, (int)a) && hpp_agent_is_active())
        result = INTO_SANDBOX(hpp_arch_syscall(number, a, b, c, d, e, f));
    else
        result = hpp_arch_syscall(number, a, b, c, d, e, f);
    return hpp_sys_failed(result) ? hpp_syscall_failed(result) : result;
}

/* ---- wait ---------------------------------------------------------------------------------------------- */

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
