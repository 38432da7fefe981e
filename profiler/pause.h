/* Sampling stopped and begun again while the process runs. CPU time in between is not told. Any thread of the
 * target, signal handlers too: system calls only. */
#ifndef HPP_PROFILER_PAUSE_H
#define HPP_PROFILER_PAUSE_H

/* The process begins with sampling stopped (start-up code, before any thread is armed). */
void hpp_pause_from_start(void);

/* Stops, or begins again: 0, or -EBUSY when another thread is at it. */
int hpp_pause(void);
int hpp_resume(void);

/* In a fork child: of its parent's threads only the calling one is there. */
void hpp_pause_after_fork(void);

#endif
