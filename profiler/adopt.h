/* Threads that did not begin with us: made by a raw clone, or before the agent was there. The writer finds
 * them in /proc/PID/task and prepares a slot; their timer must be made by a thread of their own process: the
 * next handler that runs in any of them does it. Where none runs, a signal to that thread makes one run. */
#ifndef HPP_PROFILER_ADOPT_H
#define HPP_PROFILER_ADOPT_H

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

#include "profiler/sampler.h"

/* Not 0: threads wait for their timers. */
extern atomic_int hpp_adopt_waiting;

/* Makes them. Handler. */
void hpp_adopt_serve(void);

/* Whether the signal was sent to have a handler run. Handler. */
int hpp_adopt_is_call(const siginfo_t *info);

/* The calling thread begins, with SLOT: should the writer have taken it for a stranger, that ends. */
void hpp_adopt_not(const struct hpp_slot *slot);

/* In a fork child: nobody waits. */
void hpp_adopt_after_fork(void);

/* Looks for such threads, at time NOW; cheap where every thread has a slot. Returns whether it wants to look
 * again soon. Writer, at each drain. */
int hpp_adopt_look(uint64_t now);

/* Has a handler make a CPU timer for the claimed SLOT's thread, which did not begin with us. NOW: the
 * monotonic clock. Writer. */
void hpp_adopt_post(struct hpp_slot *slot, uint64_t now);

#endif
