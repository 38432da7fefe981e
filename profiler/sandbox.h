/* Notices seccomp filters that the target set up in a way that the agent did not see (prctl it does see:
 * preload/interpose_events.c). Start-up code, then writer. */
#ifndef HPP_PROFILER_SANDBOX_H
#define HPP_PROFILER_SANDBOX_H

/* At start, in process PID: what is there is taken as given. Filters that a container was born with refuse
 * calls, they do not kill. */
void hpp_sandbox_begin(int pid);

/* Looks at /proc/PID/status: more than there was at first sets hpp_sampler.sandboxed. */
void hpp_sandbox_look(int pid);

#endif
