/* Walks a stack: by unwind tables where the code has one, else by frame pointers. Called by the signal
 * handler; no lock, no allocation, no system call on the thread's own stack, bounded. */
#ifndef HPP_PROFILER_WALK_H
#define HPP_PROFILER_WALK_H

#include <stdint.h>

#include "common/image.h"
#include "profiler/walk_cache.h"

/* How a walk ended. Only HPP_WALK_ROOT is a whole stack. */
enum hpp_walk_end {
    HPP_WALK_GOES_ON,    /* not ended; never a result */
    HPP_WALK_ROOT,       /* the thread's first function was reached */
    HPP_WALK_TRUNCATED,  /* deeper than HPP_WALK_STEPS */
    HPP_WALK_UNALIGNED,  /* frame or stack pointer not a multiple of 8 */
    HPP_WALK_NOT_RISING, /* frame or stack pointer not above the frame before */
    HPP_WALK_OFF_STACK,  /* frame outside the stack */
    HPP_WALK_UNREADABLE, /* memory of the frame is not there */
    HPP_WALK_NOT_CODE,   /* the return address is in no executable segment */
    HPP_WALK_NO_FRAME,   /* the chain ends at the root's frame, but does not come from the root */
    HPP_WALK_NO_RULE,    /* the rule needs what only frame 0 knows */
};

/* Frames looked at in one walk: what deep recursion costs at most. Only so many as wanted are kept. */
#define HPP_WALK_STEPS 8192u

/* Where between the leafmost and the rootmost frames of a deep stack some were left out. */
#define HPP_WALK_GAP 0u

struct hpp_walk {
    uint64_t pc; /* registers of the interrupted code */
    uint64_t sp;
    uint64_t fp;
    const void *context; /* its other registers: the signal's ucontext_t; NULL if unknown */
    uint64_t stack_low;  /* the thread's own stack: [stack_low, stack_end) */
    uint64_t stack_end;
    uint64_t start_sp; /* stack pointer where the process began; 0 on other threads' stacks */
    uint64_t root_fp;  /* frame of the agent's function under main or the start routine; 0 if unknown */
    const struct hpp_code_map *code;
    const struct hpp_segment *agent; /* our own text: a return address there, at root_fp, is the root */
    struct hpp_walk_cache *cache;    /* or NULL */
    int check_all;                   /* read every address through the pipe */
    int no_tables;                   /* frame pointers only (HPPROF_UNWIND=fp) */
};

struct hpp_walk_result {
    unsigned count; /* frames, at least 1 */
    enum hpp_walk_end end;
    uint64_t
        stop; /* where it stopped: the return address for HPP_WALK_NOT_CODE, else frame or stack pointer */
    unsigned untold; /* frames walked by frame pointer because their file's table was not there */
};

/* Writes at most LIMIT (at least 4) addresses to FRAMES, leaf first: the pc itself, then return addresses.
 * Of a deeper stack, the leafmost half and the rootmost, with HPP_WALK_GAP between. An address that was
 * interrupted by a signal, and is not a return address, is written plus 1, so that address - 1 is always the
 * instruction.
 *
 * Memory is read directly only from sp to the end of the thread's own stack, and only if sp is on it:
 * those pages cannot go away while the thread is interrupted. All else is read by value through
 * hpp_checked_read. */
void hpp_walk_frames(const struct hpp_walk *walk, uint64_t *frames, unsigned limit,
                     struct hpp_walk_result *result);

#endif
