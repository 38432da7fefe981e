/* Where the signals come from: a CPU timer a thread, a perf event a thread, or one interval timer for the
 * process. hpp_timer_arm and its kin (sampler.h) do what the chosen one asks for. */
#ifndef HPP_PROFILER_SOURCE_H
#define HPP_PROFILER_SOURCE_H

#include <signal.h>
#include <stdint.h>

struct hpp_slot;

enum hpp_timer { HPP_TIMER_AUTO, HPP_TIMER_CPU, HPP_TIMER_PERF, HPP_TIMER_ITIMER }; /* order of options.def */

/* The slot's value (sampler.h) that the SIGPROF of INFO was sent for, and its *WEIGHT in periods; 0 if it is
 * none of ours. *WEIGHT 0: ours, but no sample. Handler. */
uint64_t hpp_source_value(const siginfo_t *info, uint32_t *weight);

/* ---- timer_cpu.c: timer_create(2) on the thread's CPU clock
 * ------------------------------------------------ Arming is for the thread itself, and for any other of the
 * process, which names it by slot->tid. */
int hpp_timer_cpu_arm(struct hpp_slot *slot);

/* Makes the timer that the next call of hpp_timer_cpu_arm, for the same slot, will set. By the process's
 * first thread. */
int hpp_timer_cpu_prepare(struct hpp_slot *slot);
int hpp_timer_cpu_disarm(struct hpp_slot *slot); /* returns whether there was one */

/* How many periods had expired at NOW of the thread's CPU clock that no signal has come for: the kernel looks
 * at its ticks only. Of a slot that has, or just had, a timer. */
uint64_t hpp_timer_cpu_owed(const struct hpp_slot *slot, uint64_t now);

/* The period becomes MULTIPLIER times hpp_sampler.period (budget.h). By the slot's own thread. */
void hpp_timer_cpu_change(struct hpp_slot *slot, uint32_t multiplier);

/* ---- timer_itimer.c: setitimer(ITIMER_PROF)
 * ---------------------------------------------------------------- One for all threads, at most one signal a
 * tick of the kernel, and it outlives an exec. */
int hpp_timer_itimer_arm(struct hpp_slot *slot);
void hpp_timer_itimer_stop(void);
void hpp_timer_itimer_change(uint32_t multiplier);

/* Whether this source is in use, and the program has not taken the timer. */
int hpp_timer_itimer_is_ours(void);

/* The program is about to set the timer for itself: sampling ends, and that is noted. Where the program calls
 * setitimer. */
void hpp_timer_itimer_give_up(void);

/* The value of the calling thread's slot, or HPP_SLOT_NOBODY; 0 if the timer is the program's. Handler: it
 * asks the kernel who it is, and looks at all slots. */
uint64_t hpp_timer_itimer_value(void);

/* ---- timer_perf.c: perf_event_open(2)
 * ---------------------------------------------------------------------- The writer opens an event for each
 * thread, so that the target has no descriptor, and a signal goes to that thread at each overflow. Events
 * count in user mode only: with the kernel included, a signal that is pending at an exec would end the next
 * program, and others interrupt system calls. */

/* What is counted (HPPROF_EVENT). */
enum hpp_event { /* order of options.def */
                 HPP_EVENT_CPU,
                 HPP_EVENT_PAGE_FAULTS,
                 HPP_EVENT_CONTEXT_SWITCHES,
                 HPP_EVENT_CYCLES,
                 HPP_EVENT_ITLB_MISSES,
                 HPP_EVENT_CACHE_MISSES,
                 HPP_EVENTS
};

struct hpp_event_kind {
    const char *type, *unit; /* of the profile's second value */
    uint32_t perf_type;
    uint64_t perf_config;
    uint64_t period; /* how many a sample stands for; 0: as HPPROF_FREQ says */
};
extern const struct hpp_event_kind hpp_event_kinds[HPP_EVENTS];

/* Memory for what target and writer tell each other; also in a fork child. Start-up code, before the writer
 * starts. Returns 0 or -ENOMEM. */
int hpp_timer_perf_init(void);

/* Whether the kernel gives events of hpp_sampler.event: 0 or -errno. Start-up code. */
int hpp_timer_perf_try(void);

/* Asks the writer for the calling thread's event, and waits for it: a few ms at most, then a CPU timer stands
 * in for it. */
int hpp_timer_perf_arm(struct hpp_slot *slot);

/* Whether the writer has got none for it: a CPU timer stands in for it for good. */
int hpp_timer_perf_is_refused(const struct hpp_slot *slot);

/* The value of the slot that the descriptor FD of the writer's stands for, or 0. Handler. */
uint64_t hpp_timer_perf_value(int fd);

/* A writer begins: its predecessor's events are gone. Writer. */
void hpp_timer_perf_begin(void);

/* Has the writer look for slots without an event. Any context. */
void hpp_timer_perf_ask(void);

/* Opens what was asked for. Writer, each time it drains. */
void hpp_timer_perf_serve(void);

/* Changes the period of all events. Writer. */
void hpp_timer_perf_change(uint32_t multiplier);

/* Closes the events of threads that are gone. Writer, at each flush. */
void hpp_timer_perf_tidy(void);

/* The comment hpprof.perf: what all events have counted. Writer, at the end. */
void hpp_timer_perf_comment(void);

#endif
