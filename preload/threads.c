/* Begin and end of sampled threads, and fork. Runs on the target's threads. */
#include "preload/threads.h"
#include "preload/api.h"

#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "common/sys.h"
#include "profiler/accounts.h"
#include "profiler/adopt.h"
#include "profiler/foreign.h"
#include "profiler/handler.h"
#include "profiler/sampler.h"
#include "profiler/source.h"

/* Not for the handler, which finds its slot by the timer's value. */
static __thread struct {
    struct hpp_slot *slot;
    struct hpp_thread_stack stack;
    uint64_t mask;                   /* before the fork */
    const struct hpp_code_map *code; /* the same */
    int unblocked;                   /* as in its slot, and when there is none */
} the_thread __attribute__((tls_model("initial-exec")));

static const uint64_t profile_signal = 1ull << (SIGPROF - 1);

/* ---- system calls of ours, where a sandbox may begin ------------------------------------------------- */

#define FINISH_NS 20000000u

static atomic_int the_callers; /* threads that may be at one */

static void leave(void)
{
    atomic_fetch_sub(&the_callers, 1);
}

/* Whether system calls may be made, until leave. */
static int enter(void)
{
    atomic_fetch_add(&the_callers, 1);
    if (!atomic_load(&hpp_sampler.sandboxed))
        return 1;
    leave();
    return 0;
}

void hpp_thread_let_others_finish(void)
{
    uint64_t until = hpp_sys_now(CLOCK_MONOTONIC) + FINISH_NS;

    while (atomic_load(&the_callers) && hpp_sys_now(CLOCK_MONOTONIC) < until)
        HPP_SYSCALL(sched_yield, 0, 0, 0, 0, 0, 0);
}

/* ---- begin and end ----------------------------------------------------------------------------------- */

int hpp_thread_prepare(int cpu_timer)
{
    the_thread.slot = hpp_slot_claim();
    return the_thread.slot && cpu_timer ? hpp_timer_cpu_prepare(the_thread.slot) : 0;
}

static void begin(const struct hpp_thread_stack *stack)
{
    struct hpp_slot *slot = the_thread.slot ? the_thread.slot : hpp_slot_claim();

    the_thread.slot = slot;
    if (!slot)
        return;
    hpp_adopt_not(slot);
    slot->stack_low = stack->low;
    slot->stack_end = stack->end;
    slot->start_sp = stack->start_sp;
    slot->root_fp = stack->root_fp;
    slot->start_routine = stack->start_routine;
    slot->unblocked = the_thread.unblocked;
    slot->label_at = hpp_api_label();
    HPP_SYSCALL(prctl, PR_GET_NAME, slot->name, 0, 0, 0, 0);
    hpp_handler_watch();
    hpp_timer_arm(slot);
}

void hpp_thread_begin(const struct hpp_thread_stack *stack)
{
    the_thread.stack = *stack;
    if (!enter())
        return;
    begin(stack);
    leave();
}

static void end(struct hpp_slot *slot)
{
    if (hpp_sys_getpid() != hpp_sampler.pid)
        return;
    hpp_handler_watch();
    atomic_store(&slot->state, HPP_SLOT_ENDING); /* first, so that hpp_resume makes no timer any more */
    hpp_account_thread(slot, 0);
    HPP_SYSCALL(prctl, PR_GET_NAME, slot->name, 0, 0, 0, 0);
    hpp_slot_end(slot);
}

void hpp_thread_end(void)
{
    struct hpp_slot *slot = the_thread.slot;

    the_thread.slot = NULL;
    if (!slot || !enter())
        return;
    end(slot);
    leave();
}

void hpp_thread_account(void)
{
    if (the_thread.slot)
        hpp_account_thread(the_thread.slot, the_thread.slot->cpu_begin);
    hpp_account_other_threads(the_thread.slot);
}

void hpp_thread_unblock(int was_blocked)
{
    uint64_t mask = 0;

    if (!the_thread.slot || !enter())
        return;
    /* first the mark: what is pending comes at once */
    if (was_blocked)
        hpp_foreign_keep_off(the_thread.slot);
    hpp_sys_sigmask(SIG_BLOCK, NULL, &mask);
    if (mask & profile_signal) {
        hpp_foreign_keep_off(the_thread.slot);
        hpp_sys_sigmask(SIG_UNBLOCK, &profile_signal, NULL);
    }
    the_thread.unblocked = the_thread.slot->unblocked;
    leave();
}

int hpp_thread_is_unblocked(void)
{
    return the_thread.unblocked;
}

void hpp_thread_set_root(uint64_t root_fp)
{
    the_thread.stack.root_fp = root_fp;
    if (the_thread.slot)
        *(volatile uint64_t *)&the_thread.slot->root_fp = root_fp;
}

void hpp_thread_set_start(uint64_t start_routine)
{
    the_thread.stack.start_routine = start_routine;
    if (the_thread.slot)
        *(volatile uint64_t *)&the_thread.slot->start_routine = start_routine;
}

void hpp_thread_before_fork(void)
{
    hpp_sys_sigmask(SIG_BLOCK, &profile_signal, &the_thread.mask);
    atomic_fetch_add(&hpp_sampler.forking, 1);
    the_thread.code = atomic_load(&hpp_sampler.code);
}

const struct hpp_code_map *hpp_thread_code_before_fork(void)
{
    return the_thread.code;
}

void hpp_thread_after_fork_in_parent(void)
{
    atomic_fetch_sub(&hpp_sampler.forking, 1);
    hpp_sys_sigmask(SIG_SETMASK, &the_thread.mask, NULL);
}

void hpp_thread_after_fork_in_child(int sampled)
{
    struct hpp_thread_stack stack = the_thread.stack;

    atomic_store(&the_callers, 0);
    if (sampled)
        hpp_thread_begin(&stack);
    else
        the_thread.slot = NULL;
    hpp_sys_sigmask(SIG_SETMASK, &the_thread.mask, NULL);
}
