/* A walk under way: its frames and the three ways from one to its caller. For walk.c; signal handler only. */
#ifndef HPP_PROFILER_WALK_STEP_H
#define HPP_PROFILER_WALK_STEP_H

#include <stddef.h>

#include "profiler/walk.h"

/* A frame: the registers that its code has, as far as they matter. */
struct hpp_frame {
    uint64_t pc;
    uint64_t sp;
    uint64_t fp;
    int exact;   /* pc was interrupted; else it is a return address, and the call is before it */
    int fp_lost; /* fp is not known */
};

/* The stack that the walk is on now. */
struct hpp_walk_stack {
    uint64_t from;
    uint64_t end;
    int live; /* reading [from, end) directly is sound */
};

/* What is rarely used comes first: the rest is then near enough the frame pointer for short instructions. */
struct hpp_walker {
    struct hpp_walk_known known; /* for a walk without a cache */
    uint64_t pair_at;            /* what was read through the kernel last */
    uint64_t pair[2];
    const struct hpp_code_range *last; /* neighbouring frames often share one */
    const struct hpp_segment *looked_for;
    uint64_t looked_at; /* where look_ahead is to go on */
    const struct hpp_walk *walk;
    struct hpp_walk_stack stack;
    int steps;   /* left to do */
    int is_leaf; /* the present frame is the interrupted code's */
    unsigned untold;
    struct hpp_walk_memo *memo;                  /* being made; NULL: not wanted */
    const struct hpp_walk_mark *mark, *mark_end; /* the last walk's that may be met yet */
};

static inline int hpp_walk_on_own_stack(const struct hpp_walk *walk, uint64_t address)
{
    return address >= walk->stack_low && address < walk->stack_end;
}

/* The stack that ADDRESS, some stack pointer, is on; every word of it is checked. */
struct hpp_walk_stack hpp_walk_stack_of(const struct hpp_walk *walk, uint64_t address);

/* W at its first frame. What is only read after it was written is left as it is. */
static inline void hpp_walker_init(struct hpp_walker *w, const struct hpp_walk *walk)
{
    w->walk = walk;
    w->stack = (struct hpp_walk_stack){walk->sp, walk->stack_end, 1};
    if (walk->check_all || !hpp_walk_on_own_stack(walk, walk->sp))
        w->stack = hpp_walk_stack_of(walk, walk->sp);
    w->steps = HPP_WALK_STEPS;
    w->is_leaf = 1;
    w->untold = 0;
    w->last = NULL;
    w->looked_for = NULL;
    w->memo = NULL;
    w->mark = w->mark_end = NULL;
    w->pair_at = 0;
}

/* From FRAME to its caller's by RULE, which is neither NONE nor END nor SIGNAL. Returns HPP_WALK_GOES_ON, or
 * why that cannot be. */
enum hpp_walk_end hpp_walk_step_by_rule(struct hpp_walker *w, const struct hpp_unwind_rule *rule,
                                        struct hpp_frame *frame);

/* From the frame that the kernel made for a signal to the interrupted code, maybe on another stack. */
enum hpp_walk_end hpp_walk_step_by_signal(struct hpp_walker *w, const struct hpp_unwind_rule *rule,
                                          struct hpp_frame *frame);

/* No rule: by the frame pointer, if it can be one. */
enum hpp_walk_end hpp_walk_step_by_frame_pointer(struct hpp_walker *w, struct hpp_frame *frame);

#endif
