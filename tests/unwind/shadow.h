/* A shadow call stack: the return addresses that a single-stepped thread really has, kept by watching what
 * each instruction does to the stack pointer. It knows nothing of unwind information. Test only. */
#ifndef HPP_TESTS_SHADOW_H
#define HPP_TESTS_SHADOW_H

#include <stdint.h>
#include <sys/user.h>

#include "tests/unwind/step.h"

enum { SHADOW_DEPTH = 4096 };

struct shadow_entry {
    uint64_t slot;   /* where the address lies on the stack */
    uint64_t stored; /* what lies there */
    uint64_t told;   /* how a walk must tell it: an interrupted pc is told plus 1 */
};

struct shadow_stack {
    uint64_t low, high;
    struct shadow_entry entry[SHADOW_DEPTH];
    unsigned count;
    struct shadow_stack *below; /* the stack that a signal interrupted, for an alternate stack */
};

struct shadow {
    struct shadow_stack stack[STEP_STACKS];
    struct shadow_stack *current; /* NULL while the stack pointer is on none of them */
    int between; /* a jump to another frame or stack is half done: nobody can say who the caller is */
};

void shadow_init(struct shadow *shadow);

/* The instruction at BEFORE has been executed (or not, where a signal stopped it) and led to AFTER. */
void shadow_step(struct shadow *shadow, const struct user_regs_struct *before,
                 const struct user_regs_struct *after);

/* If the kernel has put a signal frame on the stack, so that INTERRUPTED's instruction was not executed and
 * AFTER is the handler's first, notes that and returns 1. A signal that is blocked waits: 0. */
int shadow_signal(struct shadow *shadow, const struct user_regs_struct *interrupted,
                  const struct user_regs_struct *after);

/* Writes the return addresses, innermost first, and returns how many there are; -1 if they cannot be
 * known. */
int shadow_callers(const struct shadow *shadow, uint64_t *callers, unsigned limit);

#endif
