/* sigaction, signal and their kin, sigwait and its kin, signalfd, sigaltstack: SIGPROF, and the signal that
 * stops and starts sampling, are ours in the kernel's table and the program's in what it sees. Runs on the
 * target's threads, in place of the real functions. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/signalfd.h>
#include <time.h>

#include "common/sys.h"
#include "preload/agent.h"
#include "preload/api.h"
#include "preload/interpose.h"
#include "profiler/accounts.h"
#include "profiler/handler.h"
#include "profiler/sampler.h"
#include "profiler/source.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#define HANDLER_STACK   2048u  /* what our handler needs besides the kernel's frame */
#define LIBUNWIND_STACK 16384u /* the same where libunwind walks */
#define PROGRAM_STACK   32768u /* what a handler of the program's may need */
#define PROFILE_SIGNAL  (1ull << (SIGPROF - 1))

/* ---- handlers on alternate stacks ---------------------------------------------------------------------- */

/* A handler of the program's runs on an alternate stack that is sized for it alone, and ours would be put
 * below it, whatever our flags say: there SIGPROF waits until the program's handler has returned. */
static atomic_int some_stack_is_small;
static _Atomic uint64_t we_blocked; /* signals in whose masks SIGPROF is by our doing */

static int is_on_alternate_stack(const void *handler, unsigned long flags)
{
    return flags & SA_ONSTACK && handler != (void *)SIG_DFL && handler != (void *)SIG_IGN;
}

/* Blocks SIGPROF in the handler that is installed for signal NUMBER, if it is such a one. */
static void hold_back(int number)
{
    struct hpp_kernel_sigaction action, replaced;

    if (number == SIGPROF || hpp_sys_sigaction(number, NULL, &action))
        return;
    while (is_on_alternate_stack(action.handler, action.flags) && !(action.mask & PROFILE_SIGNAL)) {
        atomic_fetch_or(&we_blocked, 1ull << (number - 1));
        action.mask |= PROFILE_SIGNAL;
        if (hpp_sys_sigaction(number, &action, &replaced))
            return;
        action.mask &= ~PROFILE_SIGNAL;
        if (replaced.handler == action.handler && replaced.flags == action.flags &&
            replaced.mask == action.mask)
            return;
        action = replaced; /* another thread was quicker: what it installed stays */
    }
}

/* sigaction(2) for other signals than SIGPROF. */
static int program_sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
    uint64_t bit = number > 0 && number <= 64 ? 1ull << (number - 1) : 0;
    int was_blocked = (atomic_load(&we_blocked) & bit) != 0, status;
    struct sigaction held;

    if (new &&bit) {
        atomic_fetch_and(&we_blocked, ~bit);
        if (atomic_load(&some_stack_is_small) && !sigismember(&new->sa_mask, SIGPROF) &&
            is_on_alternate_stack((void *)new->sa_handler, (unsigned)new->sa_flags)) {
            held = *new;
            sigaddset(&held.sa_mask, SIGPROF);
            new = &held;
            atomic_fetch_or(&we_blocked, bit);
        }
    }
    status = REAL(sigaction)(number, new, old);
    if (!status && old && was_blocked)
        sigdelset(&old->sa_mask, SIGPROF);
    return status;
}

/* ---- sigaction and its kin ---------------------------------------------------------------------------- */

/* Whether the program's disposition of it is kept beside ours. */
static int is_kept(int number)
{
    return (number == SIGPROF || (number && number == hpp_api_toggle_signal())) && hpp_agent_is_active();
}

/* sigaction for such a signal. */
static int keep_action(int number, const struct sigaction *new, struct sigaction *old)
{
    struct hpp_kernel_sigaction action = {0}, before;

    if (new) {
        action.handler = (void *)new->sa_handler;
        action.flags = (unsigned)new->sa_flags | HPP_ARCH_SA_RESTORER;
        action.restorer = hpp_arch_sigreturn;
        action.mask = *(const uint64_t *)&new->sa_mask; /* libc's set begins with the kernel's */
    }
    if (number == SIGPROF)
        hpp_handler_program_action(new ? &action : NULL, &before);
    else
        hpp_api_toggle_action(new ? &action : NULL, &before);
    if (old) {
        *old = (struct sigaction){0};
        old->sa_handler = (sighandler_t)before.handler;
        old->sa_flags = (int)(before.flags & ~(unsigned long)HPP_ARCH_SA_RESTORER);
        *(uint64_t *)&old->sa_mask = before.mask;
    }
    return 0;
}

EXPORT int sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
    if (is_kept(number))
        return keep_action(number, new, old);
    return program_sigaction(number, new, old);
}

/* signal and its kin differ in the flags they imply. */
static sighandler_t keep_handler(int number, sighandler_t handler, int flags)
{
    struct sigaction new = {.sa_handler = handler, .sa_flags = flags}, old;

    keep_action(number, &new, &old);
    return old.sa_handler;
}

EXPORT sighandler_t signal(int number, sighandler_t handler)
{
    if (handler != SIG_ERR && is_kept(number))
        return keep_handler(number, handler, SA_RESTART);
    return REAL(signal)(number, handler);
}

sighandler_t bsd_signal(int number, sighandler_t handler);
EXPORT sighandler_t bsd_signal(int number, sighandler_t handler)
{
    return signal(number, handler);
}

sighandler_t __sysv_signal(int number, sighandler_t handler);
EXPORT sighandler_t __sysv_signal(int number, sighandler_t handler)
{
    if (handler != SIG_ERR && is_kept(number))
        return keep_handler(number, handler, SA_RESETHAND | SA_NODEFER);
    return REAL(__sysv_signal)(number, handler);
}

EXPORT sighandler_t sysv_signal(int number, sighandler_t handler)
{
    return __sysv_signal(number, handler);
}

/* ---- relics of System V and BSD ---------------------------------------------------------------------- */

int __sigaction(int number, const struct sigaction *new, struct sigaction *old);
EXPORT int __sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
    return sigaction(number, new, old);
}

/* deprecated, and used all the same */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

EXPORT int sigignore(int number)
{
    if (is_kept(number))
        return keep_handler(number, SIG_IGN, 0), 0;
    return REAL(sigignore)(number);
}

EXPORT int siginterrupt(int number, int interrupts)
{
    struct sigaction action;

    if (!is_kept(number))
        return REAL(siginterrupt)(number, interrupts);
    keep_action(number, NULL, &action);
    action.sa_flags = interrupts ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
    return keep_action(number, &action, NULL);
}

EXPORT sighandler_t sigset(int number, sighandler_t handler)
{
    sigset_t set, before;
    struct sigaction old;

    if (handler == SIG_ERR || !is_kept(number))
        return REAL(sigset)(number, handler);
    if (handler == SIG_HOLD)
        keep_action(number, NULL, &old);
    else
        old.sa_handler = keep_handler(number, handler, 0);
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(handler == SIG_HOLD ? SIG_BLOCK : SIG_UNBLOCK, &set, &before);
    return sigismember(&before, number) ? SIG_HOLD : old.sa_handler;
}

#pragma GCC diagnostic pop

/* ---- waiting for signals: ours are not for the program ------------------------------------------------- */

/* Whether the signal taken is one of our timers'; its weight is then counted: as blocked, and as its slot's,
 * so that the thread's end does not count it again. */
static int is_ours(int number, const siginfo_t *info)
{
    uint32_t weight;
    uint64_t value = number == SIGPROF ? hpp_source_value(info, &weight) : 0;
    struct hpp_slot *slot;

    if (!value)
        return 0;
    slot = hpp_slot_of(value);
    if (slot) {
        weight *= slot->multiplier;
        slot->weight += weight;
        hpp_account_add(HPP_BLOCKED, slot->start_routine, (int64_t)(weight * hpp_sampler.period));
    }
    return 1;
}

EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    uint64_t until = timeout ? hpp_sys_now(CLOCK_MONOTONIC) + (uint64_t)timeout->tv_sec * 1000000000u +
                                   (uint64_t)timeout->tv_nsec
                             : 0;
    struct timespec left = timeout ? *timeout : (struct timespec){0, 0};
    siginfo_t taken;
    int number;

    for (;;) {
        uint64_t now;
        number = REAL(sigtimedwait)(set, &taken, timeout ? &left : NULL);
        if (number < 0 || !is_ours(number, &taken))
            break;
        now = timeout ? hpp_sys_now(CLOCK_MONOTONIC) : 0;
        left = now < until ? (struct timespec){(time_t)((until - now) / 1000000000u),
                                               (long)((until - now) % 1000000000u)}
                           : (struct timespec){0, 0};
    }
    if (number >= 0 && info)
        *info = taken;
    return number;
}

EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
    return sigtimedwait(set, info, NULL);
}

EXPORT int sigwait(const sigset_t *set, int *number)
{
    siginfo_t info;
    int saved = errno, taken;

    if (!sigismember(set, SIGPROF))
        return REAL(sigwait)(set, number);
    do
        taken = sigtimedwait(set, &info, NULL);
    while (taken < 0 && errno == EINTR);
    if (taken < 0)
        return errno;
    errno = saved; /* sigwait tells errors by its result alone */
    *number = taken;
    return 0;
}

/* A descriptor cannot tell ours from the program's: it gets none of them. */
EXPORT int signalfd(int fd, const sigset_t *set, int flags)
{
    sigset_t without;

    if (hpp_agent_is_active()) {
        without = *set;
        sigdelset(&without, SIGPROF);
        set = &without;
    }
    return REAL(signalfd)(fd, set, flags);
}

/* ---- alternate stacks ---------------------------------------------------------------------------------- */

EXPORT int sigaltstack(const stack_t *new, stack_t *old)
{
    if (new && !(new->ss_flags &SS_DISABLE) && hpp_agent_is_active()) {
        size_t frame = getauxval(AT_MINSIGSTKSZ);
        frame = (frame ? frame : MINSIGSTKSZ) + (hpp_sampler.libunwind ? LIBUNWIND_STACK : HANDLER_STACK);
        /* one that cannot even take ours alone: from now on it runs where the thread is */
        if (new->ss_size < frame)
            hpp_handler_avoid_alternate_stacks();
        if (new->ss_size < frame + PROGRAM_STACK && !atomic_exchange(&some_stack_is_small, 1))
            for (int number = 1; number <= 64; number++)
                hold_back(number);
    }
    return REAL(sigaltstack)(new, old);
}
