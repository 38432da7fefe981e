/* The signal handler. */
#ifndef HPP_PROFILER_HANDLER_H
#define HPP_PROFILER_HANDLER_H

#include <signal.h>
#include <stdint.h>

struct hpp_slot;

/* The handler itself: takes one sample of the interrupted thread into a ring. Runs with all signals
 * blocked; waits for no lock, no allocation, errno untouched, no system call but in hpp_checked_read. A
 * SIGPROF that is not from one of our timers is dealt with as the program's own disposition says. */
void hpp_handler(int signal, siginfo_t *info, void *context);

/* The slot's thread has ended, or is about to, and has no timer any more: its last sample is to stand for
 * WEIGHT periods more. Returns whether there was room to say so. Any thread. */
int hpp_handler_extend(struct hpp_slot *slot, uint32_t weight);

/* Installs it for SIGPROF and remembers the disposition it replaces as the program's own. Returns 0 or
 * -errno. Start-up code. */
int hpp_handler_install(void);

/* Whether ours is what the kernel calls. Where the program has replaced it by the raw system call, that is
 * noted in the profile, and sampling ends: signals of ours would meet a handler that knows nothing of them.
 * Start-up code, threads that begin and end, and the process's end. */
int hpp_handler_watch(void);

/* sigaction(2) for SIGPROF as the program sees it: *NEW (if not NULL) becomes the program's disposition,
 * *OLD (if not NULL) gets the former. Ours stays installed and hands every SIGPROF that is not its own
 * on. Returns 0 or -errno. Called where the program calls sigaction. */
struct hpp_kernel_sigaction;
int hpp_handler_program_action(const struct hpp_kernel_sigaction *new, struct hpp_kernel_sigaction *old);

/* From now on the handler runs on the interrupted stack: the program has an alternate stack that is too
 * small for it. Called where the program calls sigaltstack. */
void hpp_handler_avoid_alternate_stacks(void);

/* Around a call of exec, which comes back if it failed. What is executed inherits that a signal is ignored,
 * but not that a handler of ours passes it to nobody. Also in a vfork child, whose dispositions are its
 * own. */
void hpp_handler_before_exec(void);
void hpp_handler_after_exec(void);

#endif
