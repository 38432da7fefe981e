/* Reads two words at an address that may not be there: by value, through the kernel.
 *
 * The words are written from the address into a pipe and taken out of it again: the kernel copies, so
 * an address that another thread unmaps at this very moment gives an error, not a crash. (To probe and
 * then read crashes within milliseconds under such a thread.) Where the pipe is not there, is not ours
 * any more, or is in use by another thread's handler, process_vm_readv on ourselves does the same.
 *
 * A program that never needs it has no descriptor of ours: the pipe is made at the first need, and only
 * while the process has one thread (making descriptors beside running threads could take a number that
 * one of them expects). */
#ifndef HPP_PROFILER_CHECKED_READ_H
#define HPP_PROFILER_CHECKED_READ_H

#include <stdint.h>

/* Makes the pipe now (HPPROF_VALIDATE=pipe). Start-up code, one thread. Returns 0 or -errno. */
int hpp_checked_read_open(void);

/* Before the process gets a second thread: from now on no descriptors are made. */
void hpp_checked_read_set_threaded(void);

/* In a fork child: the pipe is shared with the parent, so let go of it; make a new one if there was
 * one. */
void hpp_checked_read_after_fork(void);

/* Reads the words at ADDRESS (a multiple of 8) and ADDRESS + 8. Returns 0, or -EFAULT. Handler. */
int hpp_checked_read(uint64_t address, uint64_t *first, uint64_t *second);

#endif
