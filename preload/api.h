/* What include/hpprof.h finds in the agent. */
#ifndef HPP_PRELOAD_API_H
#define HPP_PRELOAD_API_H

#include <stdatomic.h>
#include <stdint.h>

/* Where the calling thread keeps its present label. */
_Atomic uint32_t *hpp_api_label(void);

/* The signal that the next function was given, or 0. */
int hpp_api_toggle_signal(void);

/* What the program believes to be that signal's disposition: the one it had when it became ours, until the
 * program sets another. *NEW (if not NULL) becomes it, *OLD gets the former. */
struct hpp_kernel_sigaction;
void hpp_api_toggle_action(const struct hpp_kernel_sigaction *new, struct hpp_kernel_sigaction *old);

/* From now on signal NUMBER (0: none) stops sampling, and begins it again. */
void hpp_api_toggle_by(int number);

#endif
