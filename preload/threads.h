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
};

/* Begins sampling the calling thread. */
void hpp_thread_begin(const struct hpp_thread_stack *stack);

/* Ends it: the timer is gone before the thread is. */
void hpp_thread_end(void);

/* At the process's exit: what the calling thread has used and no signal stands for is counted. */
void hpp_thread_account(void);

/* The calling thread's root frame, once it is known. */
void hpp_thread_set_root(uint64_t root_fp);

/* Around fork(2): before, in the forking thread, the signal is blocked, as a fast timer would interrupt
 * the call for ever. After it the parent's mask is restored; in the child the calling thread, with the
 * stack it had, is the only one. */
void hpp_thread_before_fork(void);
void hpp_thread_after_fork_in_parent(void);
void hpp_thread_after_fork_in_child(int sampled);

/* In the child: the code map that was present before the fork. */
const struct hpp_code_map *hpp_thread_code_before_fork(void);

#endif
