/* CPU time that no sample stands for, by what kept it from being sampled and by the start routine of the
 * threads that used it. Threads and handlers add, the writer books: into sample rows whose leaf is one of the
 * locations HPP_LOCATION_SHORT_LIVED, _BLOCKED and _UNSAMPLED, and into the comment hpprof.cpu. No lock. */
#ifndef HPP_PROFILER_ACCOUNTS_H
#define HPP_PROFILER_ACCOUNTS_H

#include <stdint.h>
#include <ucontext.h>

#include "profiler/sampler.h"

enum hpp_account {
    HPP_SHORT_LIVED, /* the thread ended before a signal came for it */
    HPP_BLOCKED,     /* the program kept our signal from being delivered */
    HPP_ACCOUNTS
};

/* Begins anew: start-up code and fork children. CPU_BEGIN: how much of the process's CPU clock is not to be
 * told, ns (a program executed before this one has told it). hpp_sampler.period is set. */
void hpp_accounts_begin(uint64_t cpu_begin);

/* Adds NS of CPU time of a thread that began with START_ROUTINE (0: not known); less than 0 where samples
 * stood for more than was used, which chance does. Any thread, the handler too. */
void hpp_account_add(enum hpp_account kind, uint64_t start_routine, int64_t ns);

/* At a thread's end or the process's: deletes the calling thread's timer, if SLOT has one, and accounts for
 * its CPU time since BEGIN (its own clock, ns) that no signal stands for. The kernel looks at CPU timers at
 * its ticks only, so signals are owed for the time since the last one: for that the thread's last sample is
 * to stand, or, where it has none, the account is. First phases are random, so over many threads a sampler
 * that misses nothing adds nothing. */
void hpp_account_thread(struct hpp_slot *slot, uint64_t begin);

/* At the process's end: the same for the other threads with a timer. Their masks are not
 * known: where more is missing than a signal can be late, they had it blocked. */
void hpp_account_other_threads(const struct hpp_slot *own);

/* For how many periods the last sample is to stand of a process that has ended otherwise (_exit, a signal, an
 * exec) with NOW on its CPU clock: 0 unless it only ever had one thread, whose clock that is. Writer. */
uint32_t hpp_account_only_thread(uint64_t now);

/* Handler: what is to be recorded of a signal of WEIGHT periods. One that was held back comes at the wrong
 * place: the excess is blocked time, beyond two ticks where a system call has just unblocked it, elsewhere
 * beyond what a crowded processor explains. A system call that took so long itself is the right place. */
uint32_t hpp_account_late(const struct hpp_slot *slot, const ucontext_t *context, uint32_t weight);

/* Another program is about to be executed in the process (COMES), or that has failed. Any thread. */
void hpp_accounts_exec(int comes);

/* What the process's CPU clock showed then, ns; 0: nobody has said so. */
uint64_t hpp_accounts_exec_cpu(void);

/* What the writer knows of one account, for hpp_accounts_take. */
struct hpp_account_due {
    enum hpp_account kind;
    uint64_t start_routine;
    int64_t ns;      /* not booked yet; of either sign */
    int64_t chance;  /* how much of that chance may explain, ns */
    int64_t *booked; /* to be added to when it is booked */
};

/* Account number INDEX into DUE. Returns whether there is one. Writer only. */
int hpp_accounts_get(unsigned index, struct hpp_account_due *due);

/* Sampling stops, or begins again, at NOW of the process's CPU clock: what is between is not to be told. */
void hpp_accounts_pause(uint64_t now);
void hpp_accounts_resume(uint64_t now);

/* NOW of that clock, or where it was when sampling stopped. */
uint64_t hpp_accounts_clock(uint64_t now);

/* What the process has used while sampling was stopped, till NOW of its clock, ns. */
uint64_t hpp_accounts_stopped(uint64_t now);

/* The part of the process's CPU clock that is not to be told, ns; UINT64_MAX before hpp_accounts_begin. */
uint64_t hpp_accounts_cpu_begin(void);

#endif
