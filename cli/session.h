/* A run of hpprof record: the folder its processes write into, the wait for their writers, the merge.
 * The agent's side is preload/agent.c: each process makes its file at start and its writer holds a
 * flock(2) on it for as long as it lives. Offline only. */
#ifndef HPP_CLI_SESSION_H
#define HPP_CLI_SESSION_H

#include "symbolizer/profile.h"

#include <limits.h>
#include <stdbool.h>

struct hpp_session {
    char folder[PATH_MAX];   /* absolute */
    size_t seen;             /* processes that loaded the agent */
    size_t profiled;         /* those that have rows that count */
    size_t running;          /* those that were still running at the end */
    size_t damaged;          /* those whose profile is missing, torn or without its end */
    struct hpp_profile *all; /* everything merged, with labels process and pid */
};

/* Makes the folder, new and empty: PATH.d if KEEP, else a temporary name beside PATH. Returns 0, or -1
 * after one line on stderr. */
int hpp_session_begin(struct hpp_session *session, const char *path, bool keep);

/* Waits until the writers of all processes that have ended are done (a few seconds at most), then
 * merges the files. One line on stderr for each that cannot be read. */
void hpp_session_collect(struct hpp_session *session);

/* Frees SESSION and, unless KEEP, removes the folder and what is in it. */
void hpp_session_end(struct hpp_session *session, bool keep);

#endif
