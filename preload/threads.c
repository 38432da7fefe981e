/* Begin and end of sampled threads, and fork. Runs on the target's threads. */
#include "preload/threads.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "common/sys.h"
#include "profiler/handler.h"
#include "profiler/sampler.h"
#include "profiler/writer.h"

/* Not for the handler, which finds its slot by the timer's value. */
static __thread struct {
    struct hpp_slot *slot;
    uint64_t stack_low, stack_end, root_fp;
    uint64_t mask;
} the_thread __attribute__((tls_model("initial-exec")));

static const uint64_t profile_signal = 1ull << (SIGPROF - 1);

void hpp_thread_begin(uint64_t low, uint64_t end, uint64_t root_fp)
{
    struct hpp_slot *slot = hpp_slot_claim();

    the_thread.slot = slot;
    the_thread.stack_low = low;
    the_thread.stack_end = end;
    the_thread.root_fp = root_fp;
    if (!slot)
        return;
    slot->stack_low = low;
    slot->stack_end = end;
    slot->root_fp = root_fp;
    if (hpp_timer_arm(slot)) {
        hpp_slot_end(slot);
        the_thread.slot = NULL;
    }
}

void hpp_thread_end(void)
{
    struct hpp_slot *slot = the_thread.slot;

    the_thread.slot = NULL;
    if (!slot || hpp_sys_getpid() != hpp_sampler.pid)
        return;
    hpp_timer_disarm(slot);
    HPP_SYSCALL(prctl, PR_GET_NAME, slot->name, 0, 0, 0, 0);
    hpp_slot_end(slot);
}

void hpp_thread_set_root(uint64_t root_fp)
{
    the_thread.root_fp = root_fp;
    if (the_thread.slot)
        *(volatile uint64_t *)&the_thread.slot->root_fp = root_fp;
}

void hpp_thread_before_fork(void)
{
    hpp_sys_sigmask(SIG_BLOCK, &profile_signal, &the_thread.mask);
}

void hpp_thread_after_fork_in_parent(void)
{
    hpp_sys_sigmask(SIG_SETMASK, &the_thread.mask, NULL);
}

void hpp_thread_after_fork_in_child(int sampled)
{
    the_thread.slot = NULL;
    if (sampled)
        hpp_thread_begin(the_thread.stack_low, the_thread.stack_end, the_thread.root_fp);
    hpp_sys_sigmask(SIG_SETMASK, &the_thread.mask, NULL);
}

void hpp_thread_yield_signal(const char *why)
{
    struct hpp_kernel_sigaction own;
    struct timespec now = {0, 0};
    siginfo_t info;
    uint64_t mask;

    hpp_sys_sigmask(SIG_BLOCK, &profile_signal, &mask);
    hpp_sampler_stop();
    /* a signal of ours that is on its way must not be the first to reach the program's handler */
    while (HPP_SYSCALL(rt_sigtimedwait, &profile_signal, &info, &now, sizeof mask, 0, 0) == SIGPROF) {
        if (info.si_code != SI_TIMER || !hpp_slot_is_value((uint64_t)(uintptr_t)info.si_value.sival_ptr)) {
            HPP_SYSCALL(tgkill, hpp_sys_getpid(), hpp_sys_gettid(), SIGPROF, 0, 0, 0);
            break;
        }
    }
    hpp_handler_program_action(NULL, &own);
    hpp_sys_sigaction(SIGPROF, &own, NULL);
    hpp_sys_sigmask(SIG_SETMASK, &mask, NULL);
    atomic_store(&hpp_writer.note, why);
}
