/* From one frame to its caller's, by rule, through a signal, or by frame pointer. Signal handler only. */
#include "profiler/walk_step.h"

#include "common/arch.h"
#include "common/arch_dwarf.h"
#include "profiler/checked_read.h"
#include "profiler/signal_safe.h"

/* On a stack whose bounds nobody told us (a coroutine's, an alternate one) callers are no further. */
#define UNKNOWN_STACK_SPAN (8u << 20)

/* A read through the kernel counts as so many frames. */
#define CHECKED_READ_STEPS 8

/* Below the stack pointer the interrupted code may still have something (psABI x86-64, 3.2.2). There are
 * rules that count on it: compilers do not say that a register has been popped. */
#define RED_ZONE 128u

struct hpp_walk_stack hpp_walk_stack_of(const struct hpp_walk *walk, uint64_t address)
{
    return (struct hpp_walk_stack){
        address, hpp_walk_on_own_stack(walk, address) ? walk->stack_end : address + UNKNOWN_STACK_SPAN, 0};
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static enum hpp_walk_end read_through_kernel(struct hpp_walker *w, uint64_t address, uint64_t *word)
{
    uint64_t pair = address & ~15ull; /* never crosses a page */

    if (w->pair_at != pair || !pair) {
        w->pair_at = 0;
        w->steps -= CHECKED_READ_STEPS;
        if (hpp_checked_read(pair, &w->pair[0], &w->pair[1]))
            return HPP_WALK_UNREADABLE;
        w->pair_at = pair;
    }
    *word = w->pair[address >> 3 & 1];
    return HPP_WALK_GOES_ON;
}

/* Reads the word at ADDRESS of the present stack. Returns HPP_WALK_GOES_ON, or why not. */
static enum hpp_walk_end read_word(struct hpp_walker *w, uint64_t address, uint64_t *word)
{
    const struct hpp_walk_stack *stack = &w->stack;

    if (address % 8)
        return HPP_WALK_UNALIGNED;
    if (address < stack->from - RED_ZONE || address >= stack->end)
        return HPP_WALK_OFF_STACK;
    if (!stack->live || address < stack->from)
        return read_through_kernel(w, address, word);
    *word = *(const volatile uint64_t *)address;
    return HPP_WALK_GOES_ON;
}

/* ---- from frame to frame ------------------------------------------------------------------------------ */

/* The value of register NUMBER; other than sp and fp only the interrupted code's is known. */
static int register_value(const struct hpp_walker *w, const struct hpp_frame *frame, unsigned number,
                          uint64_t *value)
{
    if (number == HPP_ARCH_DWARF_SP)
        *value = frame->sp;
    else if (number == HPP_ARCH_DWARF_FP && !frame->fp_lost)
        *value = frame->fp;
    else if (w->is_leaf && w->walk->context)
        *value = hpp_arch_register(w->walk->context, number);
    else
        return 0;
    return 1;
}

static enum hpp_walk_end find_cfa(struct hpp_walker *w, const struct hpp_unwind_rule *rule,
                                  const struct hpp_frame *frame, uint64_t *cfa)
{
    enum hpp_walk_end end = HPP_WALK_GOES_ON;
    uint64_t base;

    switch ((enum hpp_cfa)rule->cfa) {
    case HPP_CFA_SP:
        *cfa = frame->sp + (uint64_t)(int64_t)rule->cfa_offset;
        break;
    case HPP_CFA_FP:
        if (frame->fp_lost)
            return HPP_WALK_NO_RULE;
        *cfa = frame->fp + (uint64_t)(int64_t)rule->cfa_offset;
        break;
    case HPP_CFA_PLT:
        *cfa = frame->sp + (uint64_t)(int64_t)rule->cfa_offset +
               ((frame->pc & 15) >= (uint64_t)rule->cfa_add ? 8 : 0);
        break;
    case HPP_CFA_REGISTER:
    case HPP_CFA_DEREF:
        if (!register_value(w, frame, rule->base, &base))
            return HPP_WALK_NO_RULE;
        *cfa = base + (uint64_t)(int64_t)rule->cfa_offset;
        if (rule->cfa == HPP_CFA_DEREF) {
            end = read_word(w, *cfa, cfa);
            *cfa += (uint64_t)(int64_t)rule->cfa_add;
        }
        break;
    case HPP_CFA_INDEXED:
        if (!register_value(w, frame, rule->base, &base))
            return HPP_WALK_NO_RULE;
        end = read_word(w, frame->sp + (uint64_t)(int64_t)rule->cfa_offset + base * 8, cfa);
        *cfa += (uint64_t)(int64_t)rule->cfa_add;
        break;
    case HPP_CFA_NONE:
    case HPP_CFA_END:
    case HPP_CFA_SIGNAL:
        return HPP_WALK_NO_RULE;
    }
    if (end == HPP_WALK_GOES_ON && *cfa % 8)
        return HPP_WALK_UNALIGNED;
    /* vfork takes its return address off the stack: there the caller's frame begins where this one does */
    if (end == HPP_WALK_GOES_ON && *cfa < frame->sp + (rule->ra == HPP_SAVED_REGISTER ? 0 : 8))
        return HPP_WALK_NOT_RISING;
    return end;
}

/* Reads a saved register from where SAVED says. */
static enum hpp_walk_end find_saved(struct hpp_walker *w, const struct hpp_frame *frame, uint64_t cfa,
                                    uint8_t saved, int32_t offset, uint64_t *value)
{
    uint64_t distance = (uint64_t)(int64_t)offset;

    switch ((enum hpp_saved)saved) {
    case HPP_SAVED_SAME:
        return HPP_WALK_GOES_ON;
    case HPP_SAVED_AT_CFA:
        return read_word(w, cfa + distance, value);
    case HPP_SAVED_AT_FP:
        return frame->fp_lost ? HPP_WALK_NO_RULE : read_word(w, frame->fp + distance, value);
    case HPP_SAVED_AT_SP:
        return read_word(w, frame->sp + distance, value);
    case HPP_SAVED_REGISTER:
        return register_value(w, frame, (unsigned)offset, value) ? HPP_WALK_GOES_ON : HPP_WALK_NO_RULE;
    case HPP_SAVED_LOST:
        break;
    }
    return HPP_WALK_NO_RULE;
}

enum hpp_walk_end hpp_walk_step_by_rule(struct hpp_walker *w, const struct hpp_unwind_rule *rule,
                                        struct hpp_frame *frame)
{
    struct hpp_frame caller = {.fp = frame->fp, .fp_lost = frame->fp_lost};
    enum hpp_walk_end end = find_cfa(w, rule, frame, &caller.sp);

    if (end != HPP_WALK_GOES_ON)
        return end;
    if (rule->fp != HPP_SAVED_SAME)
        caller.fp_lost =
            find_saved(w, frame, caller.sp, rule->fp, rule->fp_offset, &caller.fp) != HPP_WALK_GOES_ON;
    end = find_saved(w, frame, caller.sp, rule->ra, rule->ra_offset, &caller.pc);
    *frame = caller;
    return end;
}

enum hpp_walk_end hpp_walk_step_by_signal(struct hpp_walker *w, const struct hpp_unwind_rule *rule,
                                          struct hpp_frame *frame)
{
    struct hpp_frame interrupted = {.exact = 1};
    uint64_t sp = frame->sp;
    enum hpp_walk_end end = read_word(w, sp + (uint64_t)(int64_t)rule->cfa_offset, &interrupted.sp);

    if (end == HPP_WALK_GOES_ON)
        end = read_word(w, sp + (uint64_t)(int64_t)rule->fp_offset, &interrupted.fp);
    if (end == HPP_WALK_GOES_ON)
        end = read_word(w, sp + (uint64_t)(int64_t)rule->ra_offset, &interrupted.pc);
    if (end != HPP_WALK_GOES_ON)
        return end;
    /* another stack, or what only claims to be one: from now on each word is checked */
    if (interrupted.sp <= sp || interrupted.sp >= w->stack.end)
        w->stack = hpp_walk_stack_of(w->walk, interrupted.sp);
    *frame = interrupted;
    return HPP_WALK_GOES_ON;
}

enum hpp_walk_end hpp_walk_step_by_frame_pointer(struct hpp_walker *w, struct hpp_frame *frame)
{
    const struct hpp_walk *walk = w->walk;
    struct hpp_frame caller = {0};
    uint64_t fp = frame->fp;
    enum hpp_walk_end end;

    if (frame->fp_lost)
        return HPP_WALK_NO_RULE;
    if (fp == walk->root_fp)
        return HPP_WALK_NO_FRAME;
    if (hpp_walk_on_own_stack(walk, fp) && !hpp_walk_on_own_stack(walk, frame->sp))
        w->stack = hpp_walk_stack_of(walk, fp); /* from an alternate stack back: it starts anew, checked */
    else if (fp % 8)
        return HPP_WALK_UNALIGNED;
    else if (fp < frame->sp)
        return HPP_WALK_NOT_RISING;
    end = read_word(w, fp, &caller.fp);
    if (end == HPP_WALK_GOES_ON)
        end = read_word(w, fp + 8, &caller.pc);
    caller.sp = fp + 16;
    *frame = caller;
    return end;
}
