/* Pins moved text in memory: what the program has pinned (mlock), and with HPPROF_MLOCK=text all. Start-up
 * code and writer. */
#ifndef HPP_PRELOAD_REMAP_MLOCK_H
#define HPP_PRELOAD_REMAP_MLOCK_H

#include "preload/remap/remap.h"

/* What is to be pinned in this process, from here on. Before the first move, and in fork children, which
 * have nothing pinned. */
void hpp_mlock_begin(enum hpp_remap_lock what);

/* Pins the SIZE bytes at STAGE, which will be what is at TEXT, if the program has pinned that. Returns 0, or
 * -errno. */
int hpp_mlock_like(uint64_t stage, uint64_t text, uint64_t size);

/* Pins [START, END), which has moved, as far as it may be, and has RECORD say how far. */
void hpp_mlock_range(uint64_t start, uint64_t end, struct hpp_remap_record *record);

#endif
