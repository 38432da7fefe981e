/* What profiling costs, and the rate that it may have for that (HPPROF_MAX_CPU): handlers tell their time,
 * the writer adds its own, compares with the process's CPU time, and lengthens the period of all timers by a
 * power of two. A sample's weight is in periods as asked for, so it stays right. */
#ifndef HPP_PROFILER_BUDGET_H
#define HPP_PROFILER_BUDGET_H

#include <stdint.h>

#include "common/arch.h"
#include "profiler/sampler.h"

#define HPP_HANDLER_TICKS_MAX (1u << 20) /* what lasts longer was interrupted */

/* The present time for a handler's cost. A sandbox may forbid even to look at the counter (strict seccomp
 * does). */
static inline uint64_t hpp_budget_ticks(void)
{
    return atomic_load_explicit(&hpp_sampler.sandboxed, memory_order_relaxed) ? 0 : hpp_arch_ticks();
}

/* A handler that began at BEGIN (hpp_budget_ticks) ends. Handler. */
static inline void hpp_budget_spent(struct hpp_slot *slot, uint64_t begin)
{
    uint64_t ticks = hpp_budget_ticks() - begin;

    slot->signals++;
    slot->ticks += ticks < HPP_HANDLER_TICKS_MAX ? ticks : HPP_HANDLER_TICKS_MAX;
}

/* Gives the slot's timer the present rate. Handler, for the calling thread. */
void hpp_budget_follow(struct hpp_slot *slot);

/* A writer begins. Writer. */
void hpp_budget_begin(void);

/* Between these two the writer does what lower rates would not spare. Writer. */
void hpp_budget_pause(void);
void hpp_budget_resume(void);

/* Looks whether the rate is right, at time NOW (CLOCK_MONOTONIC); at most every 200 ms. Writer. */
void hpp_budget_look(uint64_t now);

#endif
