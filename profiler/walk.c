/* The walk: rule by rule where there are unwind tables, else frame pointer by frame pointer. Signal handler
 * only. */
#include "profiler/walk.h"

#include <stdatomic.h>

#include "common/arch.h"
#include "common/arch_dwarf.h"
#include "profiler/checked_read.h"
#include "profiler/kept_frames.h"
#include "profiler/signal_safe.h"

/* On a stack whose bounds nobody told us (a coroutine's, an alternate one) callers are no further. */
#define UNKNOWN_STACK_SPAN (8u << 20)

/* The agent's function under main, between its frame pointer and its lowest stack pointer. */
#define ROOT_FRAME_SPAN 512u

/* Between the process's first stack pointer and that of the code that calls initializers. */
#define START_SPAN 64u

/* A read through the kernel counts as so many frames. */
#define CHECKED_READ_STEPS 8u

/* Below the stack pointer the interrupted code may still have something (psABI x86-64, 3.2.2). There are rules
 * that count on it: compilers do not say that a register has been popped. */
#define RED_ZONE 128u

/* A frame: the registers that its code has, as far as they matter. */
struct frame {
    uint64_t pc;
    uint64_t sp;
    uint64_t fp;
    int exact;   /* pc was interrupted; else it is a return address, and the call is before it */
    int fp_lost; /* fp is not known */
};

/* The stack that the walk is on now. */
struct stack {
    uint64_t from;
    uint64_t end;
    int live; /* reading [from, end) directly is sound */
};

struct walker {
    const struct hpp_walk *walk;
    struct stack stack;
    unsigned steps; /* left to do */
    unsigned depth; /* of the present frame; 0 is the leaf */
    unsigned untold;
    const struct hpp_code_range *last; /* neighbouring frames often share one */
    uint64_t pair_at;                  /* what was read through the kernel last */
    uint64_t pair[2];
};

static const struct hpp_unwind_rule no_rule = {.cfa = HPP_CFA_NONE};

static int on_own_stack(const struct hpp_walk *walk, uint64_t address)
{
    return address >= walk->stack_low && address < walk->stack_end;
}

/* The stack that ADDRESS, some stack pointer, is on. LIVE: it is the interrupted code's own. */
static struct stack stack_of(const struct hpp_walk *walk, uint64_t address, int live)
{
    if (on_own_stack(walk, address))
        return (struct stack){address, walk->stack_end, live && !walk->check_all};
    return (struct stack){address, address + UNKNOWN_STACK_SPAN, 0};
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static enum hpp_walk_end read_through_kernel(struct walker *w, uint64_t address, uint64_t *word)
{
    uint64_t pair = address & ~15ull; /* never crosses a page */

    if (w->pair_at != pair || !pair) {
        w->pair_at = 0;
        w->steps -= w->steps < CHECKED_READ_STEPS ? w->steps : CHECKED_READ_STEPS;
        if (hpp_checked_read(pair, &w->pair[0], &w->pair[1]))
            return HPP_WALK_UNREADABLE;
        w->pair_at = pair;
    }
    *word = w->pair[address >> 3 & 1];
    return HPP_WALK_GOES_ON;
}

/* Reads the word at ADDRESS of the present stack. Returns HPP_WALK_GOES_ON, or why not. */
static enum hpp_walk_end read_word(struct walker *w, uint64_t address, uint64_t *word)
{
    const struct stack *stack = &w->stack;

    if (address % 8)
        return HPP_WALK_UNALIGNED;
    if (address < stack->from - RED_ZONE || address >= stack->end)
        return HPP_WALK_OFF_STACK;
    if (!stack->live || address < stack->from)
        return read_through_kernel(w, address, word);
    *word = *(const volatile uint64_t *)address;
    return HPP_WALK_GOES_ON;
}

/* ---- rules ------------------------------------------------------------------------------------------- */

/* The range that holds ADDRESS, or NULL if it is no code. */
static const struct hpp_code_range *find_code(struct walker *w, uint64_t address)
{
    if (!w->last || address < w->last->start || address >= w->last->end)
        w->last = hpp_image_find(w->walk->code, address);
    return w->last;
}

/* The rule for the instruction at ADDRESS, or NULL if it is no code. */
static const struct hpp_unwind_rule *find_rule(struct walker *w, uint64_t address)
{
    struct hpp_walk_cache *cache = w->walk->cache;
    struct hpp_walk_known *known = cache ? &cache->known[(address ^ address >> 9) % HPP_WALK_CACHE] : NULL;
    const struct hpp_unwind_table *table;
    const struct hpp_unwind_rule *rule;
    const struct hpp_code_range *range;

    if (known && known->pc == address && address)
        return &known->rule;
    range = find_code(w, address);
    if (!range)
        return NULL;
    if (w->walk->no_tables)
        return &no_rule;
    table = atomic_load_explicit(&range->segment->table, memory_order_acquire);
    if (!table) {
        w->untold++;
        return &no_rule;
    }
    rule = hpp_unwind_find(table, address - range->segment->start + range->segment->link);
    if (known)
        *known = (struct hpp_walk_known){address, *rule};
    return rule;
}

/* The value of register NUMBER; other than sp and fp only the interrupted code's is known. */
static int register_value(const struct walker *w, const struct frame *frame, unsigned number, uint64_t *value)
{
    if (number == HPP_ARCH_DWARF_SP)
        *value = frame->sp;
    else if (number == HPP_ARCH_DWARF_FP && !frame->fp_lost)
        *value = frame->fp;
    else if (w->depth == 0 && w->walk->context)
        *value = hpp_arch_register(w->walk->context, number);
    else
        return 0;
    return 1;
}

static enum hpp_walk_end find_cfa(struct walker *w, const struct hpp_unwind_rule *rule,
                                  const struct frame *frame, uint64_t *cfa)
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
    case HPP_CFA_NONE:
    case HPP_CFA_END:
    case HPP_CFA_SIGNAL:
        return HPP_WALK_NO_RULE;
    }
    if (end == HPP_WALK_GOES_ON && *cfa % 8)
        return HPP_WALK_UNALIGNED;
    if (end == HPP_WALK_GOES_ON && *cfa <= frame->sp)
        return HPP_WALK_NOT_RISING;
    return end;
}

/* Reads a saved register from where SAVED says. */
static enum hpp_walk_end find_saved(struct walker *w, const struct frame *frame, uint64_t cfa, uint8_t saved,
                                    int32_t offset, uint64_t *value)
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

/* From a frame to its caller's. */
static enum hpp_walk_end step_by_rule(struct walker *w, const struct hpp_unwind_rule *rule,
                                      struct frame *frame)
{
    struct frame caller = {.fp = frame->fp, .fp_lost = frame->fp_lost};
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

/* From the frame that the kernel made for a signal to the interrupted code, maybe on another stack. */
static enum hpp_walk_end step_by_signal(struct walker *w, const struct hpp_unwind_rule *rule,
                                        struct frame *frame)
{
    struct frame interrupted = {.exact = 1};
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
        w->stack = stack_of(w->walk, interrupted.sp, 0);
    *frame = interrupted;
    return HPP_WALK_GOES_ON;
}

/* No rule: the frame pointer, if it can be one. */
static enum hpp_walk_end step_by_frame_pointer(struct walker *w, struct frame *frame)
{
    const struct hpp_walk *walk = w->walk;
    struct frame caller = {0};
    uint64_t fp = frame->fp;
    enum hpp_walk_end end;

    if (frame->fp_lost)
        return HPP_WALK_NO_RULE;
    if (fp == walk->root_fp)
        return HPP_WALK_NO_FRAME;
    if (on_own_stack(walk, fp) && !on_own_stack(walk, frame->sp))
        w->stack = stack_of(walk, fp, 0); /* from an alternate stack back: it starts anew, checked */
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

/* ---- the walk ---------------------------------------------------------------------------------------- */

/* Whether the agent's function under main or the start routine has been reached. */
static int is_root(const struct hpp_walk *walk, const struct frame *frame)
{
    if (!walk->agent || frame->pc <= walk->agent->start || frame->pc > walk->agent->end)
        return 0;
    return (!frame->fp_lost && frame->fp == walk->root_fp) ||
           (frame->sp <= walk->root_fp && walk->root_fp - frame->sp <= ROOT_FRAME_SPAN);
}

/* Whether nothing lies under FRAME, which has no rule: it is the loader's, where the process began. */
static int is_start(const struct hpp_walk *walk, const struct frame *frame)
{
    return walk->start_sp && frame->sp >= walk->start_sp - START_SPAN && frame->sp < walk->stack_end;
}

/* From FRAME to its caller's. Where that cannot be, *STOP gets the address that is to blame. */
static enum hpp_walk_end step(struct walker *w, const struct hpp_unwind_rule *rule, struct frame *frame,
                              uint64_t *stop)
{
    *stop = frame->sp;
    if (rule->cfa == HPP_CFA_END)
        return HPP_WALK_ROOT;
    if (rule->cfa == HPP_CFA_SIGNAL)
        return step_by_signal(w, rule, frame);
    if (rule->cfa != HPP_CFA_NONE)
        return step_by_rule(w, rule, frame);
    if (w->depth && is_start(w->walk, frame))
        return HPP_WALK_ROOT;
    *stop = frame->fp;
    return step_by_frame_pointer(w, frame);
}

static enum hpp_walk_end walk_on(struct walker *w, struct hpp_kept_frames *kept, uint64_t *stop)
{
    const struct hpp_walk *walk = w->walk;
    struct frame frame = {walk->pc, walk->sp, walk->fp, 1, 0};

    for (;; w->depth++) {
        const struct hpp_unwind_rule *rule;
        enum hpp_walk_end end;

        if (w->depth && is_root(walk, &frame))
            return HPP_WALK_ROOT;
        rule = find_rule(w, frame.pc - !frame.exact);
        if (!rule && w->depth) {
            *stop = frame.pc;
            /* a coroutine's first function returns to nowhere */
            return frame.pc || on_own_stack(walk, frame.sp) ? HPP_WALK_NOT_CODE : HPP_WALK_ROOT;
        }
        hpp_kept_add(kept, frame.pc + (w->depth && frame.exact));
        if (!w->steps)
            return HPP_WALK_TRUNCATED;
        w->steps--;
        end = step(w, rule ? rule : &no_rule, &frame, stop);
        if (end != HPP_WALK_GOES_ON)
            return end;
    }
}

/* What the cache says is true for one code map. */
static void renew(struct hpp_walk_cache *cache, uint64_t generation)
{
    if (cache->generation == generation)
        return;
    for (unsigned i = 0; i < HPP_WALK_CACHE; i++)
        cache->known[i].pc = 0;
    cache->generation = generation;
}

void hpp_walk_frames(const struct hpp_walk *walk, uint64_t *frames, unsigned limit,
                     struct hpp_walk_result *result)
{
    struct walker w = {.walk = walk, .stack = stack_of(walk, walk->sp, 1), .steps = HPP_WALK_STEPS};
    struct hpp_kept_frames kept = {frames, limit, 0};

    if (walk->cache && walk->code)
        renew(walk->cache, walk->code->generation);
    result->end = walk_on(&w, &kept, &result->stop);
    result->count =
        result->end == HPP_WALK_TRUNCATED ? hpp_kept_give_up(&kept) : hpp_kept_finish(&kept, HPP_WALK_GAP);
    result->untold = w.untold;
}
