/* Which source gives the signals (profiler/source.h), and what it counts. Start-up code. */
#ifndef HPP_PRELOAD_SOURCE_CHOICE_H
#define HPP_PRELOAD_SOURCE_CHOICE_H

#include "common/text.h"
#include "preload/options.h"

/* Sets hpp_sampler's timer, event and period as OPTIONS ask for; what this machine has not got gets one line
 * on standard error (in the first process only), and CPU timers. */
void hpp_source_choose(const struct hpp_agent_options *options);

/* For a process's first thread, before its profile's first comments: HPPROF_TIMER=auto means the interval
 * timer where the kernel refuses a CPU timer. Also in fork children. */
void hpp_source_settle(const struct hpp_agent_options *options);

/* The line that was, or would have been, told; "" if there was no need. */
const char *hpp_source_refusal(void);

/* Puts the fields of hpprof.process that say what was chosen, and its limits. */
void hpp_source_describe(struct hpp_text *text, const struct hpp_agent_options *options);

#endif
