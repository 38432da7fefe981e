/* Walks a stack by frame pointers. Called by the signal handler; no lock, no allocation, bounded. */
#ifndef HPP_PROFILER_WALK_H
#define HPP_PROFILER_WALK_H

#include <stdint.h>

#include "common/image.h"

/* How a walk ended. Only HPP_WALK_ROOT is a whole stack. */
enum hpp_walk_end {
    HPP_WALK_GOES_ON,    /* not ended; never a result */
    HPP_WALK_ROOT,       /* the thread's first function was reached */
    HPP_WALK_TRUNCATED,  /* deeper than the limit */
    HPP_WALK_UNALIGNED,  /* frame pointer not a multiple of 8 */
    HPP_WALK_NOT_RISING, /* frame pointer not above the frame before */
    HPP_WALK_OFF_STACK,  /* frame pointer outside the stack */
    HPP_WALK_UNREADABLE, /* memory at the frame pointer is not there */
    HPP_WALK_NOT_CODE,   /* the return address is in no executable segment */
    HPP_WALK_NO_FRAME,   /* the chain ends at the root's frame, but does not come from the root */
};

struct hpp_walk {
    uint64_t pc; /* registers of the interrupted code */
    uint64_t sp;
    uint64_t fp;
    uint64_t stack_low; /* the thread's own stack: [stack_low, stack_end) */
    uint64_t stack_end;
    uint64_t root_fp; /* frame of the agent's function under main or the start routine; 0 if unknown */
    const struct hpp_code_map *code;
    const struct hpp_segment *agent; /* our own text: a return address there, at root_fp, is the root */
    int check_all;                   /* read every address through the pipe */
};

/* Writes at most LIMIT addresses to FRAMES, leaf first: the pc itself, then return addresses. Returns
 * their number (at least 1); *END says how it ended and *STOP which address it stopped at (the return
 * address for HPP_WALK_NOT_CODE, else the frame pointer).
 *
 * Memory is read directly only from sp to the end of the thread's own stack, and only if sp is on it:
 * those pages cannot go away while the thread is interrupted. All else is read by value through
 * hpp_checked_read. */
unsigned hpp_walk_frames(const struct hpp_walk *walk, uint64_t *frames, unsigned limit,
                         enum hpp_walk_end *end, uint64_t *stop);

#endif
