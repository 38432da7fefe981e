/* Notices seccomp filters that the target set up in a way that the agent did not see (prctl it does see:
 * preload/interpose_events.c). Start-up code, then writer. */
#ifndef HPP_PROFILER_SANDBOX_H
#define HPP_PROFILER_SANDBOX_H

/* Looks at /proc/PID/status. The first look, at start, takes what is there as given: filters that a
 * container was born with refuse calls, they do not kill. A later look that finds more sets
 * hpp_sampler.sandboxed. */
void hpp_sandbox_look(int pid);

#endif
