/* SIGPROF that is the program's, in threads that would have it blocked but for us. */
#ifndef HPP_PROFILER_FOREIGN_H
#define HPP_PROFILER_FOREIGN_H

#include <signal.h>
#include <ucontext.h>

#include "profiler/sampler.h"

/* From now on the calling thread, whose slot this is, does not get the program's SIGPROF: it would have had
 * it blocked, and we unblock it. */
void hpp_foreign_keep_off(struct hpp_slot *slot);

/* Handler, for a signal that is not from our timers: in such a thread the signal is blocked again, as the
 * program has it, and sent once more, as it came. Returns whether that was so. */
int hpp_foreign_send_away(siginfo_t *info, ucontext_t *context);

#endif
