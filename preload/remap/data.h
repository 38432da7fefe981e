/* The program's own data on huge pages (HPPROF_REMAP_DATA=1). */
#ifndef HPP_PRELOAD_REMAP_DATA_H
#define HPP_PRELOAD_REMAP_DATA_H

#include "preload/remap/remap.h"

/* What became of the whole huge pages of its writable segments, in bytes. */
struct hpp_remap_data {
    uint64_t eligible;
    uint64_t huge;    /* on huge pages now */
    uint64_t advised; /* not touched yet: come as huge pages when they are */
    uint64_t microseconds;
    const char *reason; /* why the rest is not; NULL: there is none */
    long error;         /* -errno of the call whose failure that is; 0: it was none */
};

/* Moves them if OPTIONS say so, before main and while the process has one thread: every byte stays what it
 * is, and every permission. Start-up code. */
void hpp_remap_data_move(const struct hpp_remap_options *options);

/* What it has done, in this process or in its parent. */
const struct hpp_remap_data *hpp_remap_data(void);

#endif
