/* Loads libunwind for HPPROF_UNWIND=libunwind. The agent is not linked with it. */
#ifndef HPP_PRELOAD_LIBUNWIND_H
#define HPP_PRELOAD_LIBUNWIND_H

/* Loads the library and makes a first walk, so that nothing is done for the first time in the handler. The
 * code map must be there. Returns NULL, or why it cannot be used, a constant. Start-up code, one thread. */
const char *hpp_libunwind_load(void);

#endif
