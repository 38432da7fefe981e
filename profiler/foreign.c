/* The program's SIGPROF in threads that would have it blocked. Threads at their start; the handler. */
#include "profiler/foreign.h"

#include "common/sys.h"
#include "profiler/signal_safe.h"

#define PROFILE_SIGNAL (1ull << (SIGPROF - 1))

static atomic_int there_are_some;

void hpp_foreign_keep_off(struct hpp_slot *slot)
{
    slot->unblocked = 1;
    atomic_store(&there_are_some, 1);
}

/* The slot of thread TID, or NULL. */
static struct hpp_slot *slot_of(int tid)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    for (uint32_t i = 0; i < used; i++)
        if (hpp_sampler.slots[i].tid == tid && atomic_load(&hpp_sampler.slots[i].state) == HPP_SLOT_ACTIVE)
            return &hpp_sampler.slots[i];
    return NULL;
}

int hpp_foreign_send_away(siginfo_t *info, ucontext_t *context)
{
    struct hpp_slot *slot;
    long error;
    int tid;

    if (!atomic_load(&there_are_some) || atomic_load(&hpp_sampler.sandboxed))
        return 0;
    tid = hpp_sys_gettid();
    slot = slot_of(tid);
    if (!slot || !slot->unblocked)
        return 0;
    slot->unblocked = 0;
    /* all is blocked while the handler runs: it goes to another thread, or waits */
    *(uint64_t *)&context->uc_sigmask |= PROFILE_SIGNAL;
    if (info->si_code == SI_TKILL)
        error = HPP_SYSCALL(rt_tgsigqueueinfo, hpp_sampler.pid, tid, SIGPROF, info, 0, 0);
    else
        error = HPP_SYSCALL(rt_sigqueueinfo, hpp_sampler.pid, SIGPROF, info, 0, 0, 0);
    /* only its first thread may give a process a signal that says to be from the kernel or another process */
    if (error)
        HPP_SYSCALL(kill, hpp_sampler.pid, SIGPROF, 0, 0, 0, 0);
    return 1;
}
