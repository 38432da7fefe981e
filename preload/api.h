/* What include/hpprof.h finds in the agent. */
#ifndef HPP_PRELOAD_API_H
#define HPP_PRELOAD_API_H

#include <stdatomic.h>
#include <stdint.h>

/* Where the calling thread keeps its present label. */
_Atomic uint32_t *hpp_api_label(void);

/* From now on signal NUMBER (0: none) stops sampling, and begins it again. */
void hpp_api_toggle_by(int number);

#endif
