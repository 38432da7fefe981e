/* Finds the target's threads that nobody samples: made by a raw clone, or before the agent was there.
 * Writer only. */
#ifndef HPP_PROFILER_UNSAMPLED_H
#define HPP_PROFILER_UNSAMPLED_H

/* Looks at /proc/PID/task, once a flush; a thread that has no slot in two looks in a row is counted in
 * hpp_sampler.unsampled. Costs one fstat where every thread has a slot. */
void hpp_unsampled_look(int pid);

#endif
