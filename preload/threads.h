/* The life of sampled threads in the target. Runs on those threads. */
#ifndef HPP_PRELOAD_THREADS_H
#define HPP_PRELOAD_THREADS_H

#include <stdint.h>

struct hpp_code_map;

/* Where a thread's stack lies and begins. */
struct hpp_thread_stack {
    uint64_t low, end; /* [low, end) */
    uint64_t start_sp; /* of the main thread: the first stack pointer */
    uint64_t root_fp;  /* frame of the function of ours that calls its first function; 0: not known yet */
    uint64_t start_routine; /* the same: its first function */
};

/* The process's first thread gets its slot, and, if CPU_TIMER, a timer that is not set yet. Returns 0 or
 * -errno of making that. Before hpp_thread_begin. */
int hpp_thread_prepare(int cpu_timer);

/* Begins sampling the calling thread. */
void hpp_thread_begin(const struct hpp_thread_stack *stack);

/* At the start of a thread, after that: SIGPROF is unblocked. What comes for the program is sent away from
 * here if it was blocked, or WAS_BLOCKED (in the thread that made this one, but for us). */
void hpp_thread_unblock(int was_blocked);

/* Whether the calling thread would have SIGPROF blocked but for us, when it began. */
int hpp_thread_is_unblocked(void);

/* Ends it: the timer is gone before the thread is. */
void hpp_thread_end(void);

/* At the process's exit: what all threads have used and no signal stands for is counted. */
void hpp_thread_account(void);

/* Waits until no other thread is at a system call of ours in one of these, for a while at most: a sandbox
 * begins (hpp_sampler.sandboxed is set). */
void hpp_thread_let_others_finish(void);

/* The calling thread's root frame, once it is known. */
void hpp_thread_set_root(uint64_t root_fp);

/* The calling thread's first function, the same. */
void hpp_thread_set_start(uint64_t start_routine);

/* Around fork(2): before, in the forking thread, the signal is blocked, as a fast timer would interrupt
 * the call for ever. After it the parent's mask is restored; in the child the calling thread, with the
 * stack it had, is the only one. */
void hpp_thread_before_fork(void);
void hpp_thread_after_fork_in_parent(void);
void hpp_thread_after_fork_in_child(int sampled);

/* In the child: the code map that was present before the fork. */
const struct hpp_code_map *hpp_thread_code_before_fork(void);

#endif
