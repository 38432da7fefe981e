/* What a program leaves in the environment of the one that it executes, as both are one process with one CPU
 * clock: HPPROF_EXEC=PID:NS, the clock at that moment. What came before it has been told. */
#ifndef HPP_PRELOAD_EXEC_MARK_H
#define HPP_PRELOAD_EXEC_MARK_H

#include <stddef.h>
#include <stdint.h>

#define HPP_EXEC_MARK_SIZE 48u

/* Takes the mark, so that the program does not see it, and returns the CPU clock, ns; 0 if there is none, or
 * it is another process's. Start-up code. */
uint64_t hpp_exec_mark_take(char **environment);

/* Writes to MARKED, which has room for 2 more than ENVIRONMENT's variables, these and a mark in MARK.
 * Async-signal-safe. */
void hpp_exec_mark_put(char *const *environment, char **marked, char mark[HPP_EXEC_MARK_SIZE], uint64_t cpu);

#endif
