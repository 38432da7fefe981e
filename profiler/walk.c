/* The walk: rule by rule where there are unwind tables, else frame pointer by frame pointer. Signal handler
 * only. What is rare is in walk_step.c; here is what each frame costs. */
#include "profiler/walk.h"

#include <stdatomic.h>

#include "common/arch.h"
#include "profiler/checked_read.h"
#include "profiler/kept_frames.h"
#include "profiler/walk_step.h"
#include "profiler/signal_safe.h"

/* The agent's function under main, between its frame pointer and its lowest stack pointer. */
#define ROOT_FRAME_SPAN 512u

/* Between the process's first stack pointer and that of the code that calls initializers. */
#define START_SPAN 64u

/* How many words of the stack are looked through ahead of a frame whose rule is not known yet, how near the
 * walk must come to the end of them before the next are, and how many rows a page of a table usually has. */
#define AHEAD_WORDS 128u
#define AHEAD_NEAR  64u
#define PAGE_ROWS   15u

/* What the usual walk of a stack that is mostly the last one's does not come by: kept out of its way. */
#define APART  __attribute__((noinline))
#define RARELY __attribute__((noinline, cold))

/* Rules that need no more than stack and frame pointer and two words of the stack. */
enum plain { NOT_PLAIN, BY_SP, BY_FP, BY_FP_CHAIN };

/* The caller's frame pointer and the return address are where the frame pointer says. */
static const struct hpp_walk_known no_rule = {
    .rule = {.cfa = HPP_CFA_NONE, .cfa_offset = 16, .fp = HPP_SAVED_AT_CFA, .fp_offset = -16},
    .plain = BY_FP_CHAIN};

/* ---- rules ------------------------------------------------------------------------------------------- */

static enum plain plainness(const struct hpp_unwind_rule *rule)
{
    if (rule->cfa == HPP_CFA_NONE)
        return BY_FP_CHAIN;
    if (rule->ra != HPP_SAVED_AT_CFA || rule->ra_offset != -8 ||
        (rule->fp != HPP_SAVED_SAME && rule->fp != HPP_SAVED_AT_CFA))
        return NOT_PLAIN;
    return rule->cfa == HPP_CFA_SP ? BY_SP : rule->cfa == HPP_CFA_FP ? BY_FP : NOT_PLAIN;
}

/* A rule that is not known yet costs waiting for memory. Return addresses of the frames above lie in the
 * stack, among other words: asks for what will be needed of the table for all of them at once. */
static APART void look_ahead(struct hpp_walker *w, const struct hpp_segment *segment,
                             const struct hpp_unwind_table *table, uint64_t sp)
{
    const uint32_t *rows = hpp_unwind_rows(table);
    uint64_t at = w->looked_for == segment && w->looked_at > sp ? w->looked_at : sp;
    uint64_t end = at + AHEAD_WORDS * 8;
    uint64_t origin = segment->start - segment->link + table->base + 1;
    uint64_t size = (uint64_t)table->pages << table->shift;
    uint32_t offsets[AHEAD_WORDS];
    unsigned count = 0;

    if (!w->stack.live || at % 8)
        return;
    if (end > w->stack.end)
        end = w->stack.end;
    w->looked_for = segment;
    w->looked_at = end;
#pragma GCC unroll 4
    for (; at < end; at += 8) {
        uint64_t offset = *(const volatile uint64_t *)at - origin;
        offsets[count] = (uint32_t)offset;
        count += offset < size; /* no branch that would be predicted wrongly */
    }
    for (unsigned i = 0; i < count; i++) {
        const uint32_t *first = rows + hpp_unwind_first(table, offsets[i] >> table->shift);
        __builtin_prefetch(first);
        __builtin_prefetch(first + PAGE_ROWS);
    }
}

/* The rule of the code at ADDRESS, from its file's table; the frame's stack pointer is SP. Returns NULL if it
 * is no code. */
static APART const struct hpp_walk_known *look_up(struct hpp_walker *w, uint64_t address, uint64_t sp,
                                                  struct hpp_walk_known *known)
{
    const struct hpp_unwind_table *table;
    const struct hpp_unwind_rule *rule;
    const struct hpp_segment *segment;

    if (!w->last || address < w->last->start || address >= w->last->end)
        w->last = hpp_image_find(w->walk->code, address);
    if (!w->last)
        return NULL;
    if (w->walk->no_tables)
        return &no_rule;
    segment = w->last->segment;
    table = atomic_load_explicit(&segment->table, memory_order_acquire);
    if (!table) {
        w->untold++;
        return &no_rule;
    }
    if (w->looked_for != segment || w->looked_at < sp + AHEAD_NEAR * 8)
        look_ahead(w, segment, table, sp);
    rule = hpp_unwind_find(table, address - segment->start + segment->link);
    known->rule = rule->cfa == HPP_CFA_NONE ? no_rule.rule : *rule;
    known->plain = plainness(rule);
    known->pc = address;
    return known;
}

static inline const struct hpp_walk_known *find_rule(struct hpp_walker *w, const struct hpp_frame *frame)
{
    uint64_t address = frame->pc - !frame->exact;
    struct hpp_walk_cache *cache = w->walk->cache;
    struct hpp_walk_known *known;

    if (!cache)
        return look_up(w, address, frame->sp, &w->known);
    known = &cache->known[hpp_walk_place(address)];
    return known->pc == address ? known : look_up(w, address, frame->sp, known);
}

/* ---- the last walk ----------------------------------------------------------------------------------- */

/* Remembers FRAME, whose caller's frame pointer was read at FP_AT. */
static inline void remember(struct hpp_walker *w, const struct hpp_frame *frame, uint64_t fp_at)
{
    struct hpp_walk_memo *memo = w->memo;
    struct hpp_walk_mark *mark;

    if (!memo || memo->count == HPP_WALK_MARKS)
        return;
    mark = &memo->mark[memo->count++];
    *mark = (struct hpp_walk_mark){frame->pc, frame->sp, frame->fp,
                                   fp_at ? fp_at : (uint64_t)(uintptr_t)&mark[1].fp};
}

/* A step that remember() cannot say: what is shared with the next walk begins anew behind it. */
static inline void forget(struct hpp_walker *w)
{
    if (w->memo)
        w->memo->count = 0;
}

/* Whether from MARK the stack leads to the mark behind it, as it did then. */
static inline int leads_on(const struct hpp_walk_mark *mark)
{
    return !((*(const volatile uint64_t *)(mark[1].sp - 8) ^ mark[1].pc) |
             (*(const volatile uint64_t *)mark->fp_at ^ mark[1].fp));
}

/* Takes COUNT marks over from the last walk. */
static APART void take_over(struct hpp_walker *w, const struct hpp_walk_mark *mark, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct hpp_frame frame = {mark[i].pc, mark[i].sp, mark[i].fp, 0, 0};
        remember(w, &frame, mark[i].fp_at == (uint64_t)(uintptr_t)&mark[i + 1].fp ? 0 : mark[i].fp_at);
    }
}

/* Whether FRAME is one of the last walk's, which w->mark then is. */
static inline int is_met(struct hpp_walker *w, const struct hpp_frame *frame)
{
    const struct hpp_walk_mark *mark = w->mark;

    while (mark < w->mark_end && mark->sp < frame->sp)
        mark++;
    w->mark = mark;
    return mark < w->mark_end && mark->sp == frame->sp && mark->pc == frame->pc && mark->fp == frame->fp;
}

/* From the frame of w->mark goes up for as long as the stack still holds what it did then, and there is room
 * for frames. Where it ends is w->mark again. */
static APART void repeat(struct hpp_walker *w, struct hpp_kept_frames *kept)
{
    const struct hpp_walk_mark *first = w->mark, *mark = first, *end = w->mark_end - 1;
    uint64_t *to = kept->frames + kept->count;
    unsigned same;

    if (end - mark > (ptrdiff_t)kept->limit - kept->count)
        end = kept->count < kept->limit ? mark + (kept->limit - kept->count) : mark;
    for (; mark < end && leads_on(mark); mark++)
        *to++ = mark->pc;
    same = (unsigned)(mark - first);
    kept->count += same;
    w->steps -= (int)same;
    w->mark = mark;
    if (!w->memo)
        return;
    if (same > w->memo->count)
        w->memo = NULL;
    else
        take_over(w, first, same);
}

/* ---- the walk ---------------------------------------------------------------------------------------- */

/* Whether the agent's function under main or the start routine has been reached. */
static inline int is_root(const struct hpp_walk *walk, const struct hpp_frame *frame)
{
    if (!walk->agent || frame->pc <= walk->agent->start || frame->pc > walk->agent->end)
        return 0;
    return (!frame->fp_lost && frame->fp == walk->root_fp) ||
           (frame->sp <= walk->root_fp && walk->root_fp - frame->sp <= ROOT_FRAME_SPAN);
}

/* The root is remembered, too: a walk that is as the last one so ends without looking anything up. */
static inline enum hpp_walk_end end_at_root(struct hpp_walker *w, const struct hpp_frame *frame)
{
    if (w->memo && w->memo->count)
        remember(w, frame, 0);
    return HPP_WALK_ROOT;
}

/* Whether nothing lies under FRAME, which has no rule: it is the loader's, where the process began. */
static int is_start(const struct hpp_walk *walk, const struct hpp_frame *frame)
{
    return walk->start_sp && frame->sp >= walk->start_sp - START_SPAN && frame->sp < walk->stack_end;
}

/* What nearly every step is: a plain rule, on the thread's own stack. Returns whether it was one; if not,
 * FRAME is as before. */
static inline int step_plainly(struct hpp_walker *w, const struct hpp_walk_known *known,
                               struct hpp_frame *frame)
{
    uint64_t by_sp = 0ull - (known->plain == BY_SP); /* no branch that would be predicted wrongly */
    uint64_t cfa = ((frame->sp & by_sp) | (frame->fp & ~by_sp)) + (uint64_t)(int64_t)known->rule.cfa_offset;
    uint64_t fp_at = 0, limit = w->stack.end;

    if (!known->plain || !w->stack.live || frame->fp_lost || cfa <= frame->sp || cfa > limit || cfa % 8 ||
        (known->plain == BY_FP_CHAIN && frame->fp == w->walk->root_fp))
        return 0;
    if (known->rule.fp == HPP_SAVED_AT_CFA) {
        fp_at = cfa + (uint64_t)(int64_t)known->rule.fp_offset;
        if (fp_at < frame->sp || fp_at > limit - 8 || fp_at % 8)
            return 0;
    }
    if (known == &no_rule && !w->walk->no_tables)
        forget(w); /* a table may come */
    else if (!frame->exact)
        remember(w, frame, fp_at);
    if (fp_at)
        frame->fp = *(const volatile uint64_t *)fp_at;
    frame->pc = *(const volatile uint64_t *)(cfa - 8);
    frame->sp = cfa;
    frame->exact = 0;
    return 1;
}

/* Whether FRAME is none, but where a coroutine's first function returns to: makecontext and its kin have put
 * the start of a function there, and no call ends before that. */
static RARELY int is_coroutine_end(const struct hpp_walk *walk, uint64_t pc, uint64_t sp)
{
    uint64_t before[2];

    return !hpp_walk_on_own_stack(walk, sp) &&
           !hpp_checked_read(pc - sizeof before, &before[0], &before[1]) &&
           !hpp_arch_ends_with_call((const uint8_t *)before + sizeof before);
}

/* From FRAME to its caller's. Where that cannot be, *STOP gets the address that is to blame. */
static RARELY enum hpp_walk_end step(struct hpp_walker *w, const struct hpp_unwind_rule *rule,
                                     struct hpp_frame *frame, uint64_t *stop)
{
    *stop = frame->sp;
    if (rule->cfa == HPP_CFA_END)
        return HPP_WALK_ROOT;
    forget(w);
    if (rule->cfa == HPP_CFA_SIGNAL)
        return hpp_walk_step_by_signal(w, rule, frame);
    if (rule->cfa != HPP_CFA_NONE)
        return hpp_walk_step_by_rule(w, rule, frame);
    *stop = frame->fp;
    return hpp_walk_step_by_frame_pointer(w, frame);
}

static enum hpp_walk_end walk_on(struct hpp_walker *w, struct hpp_kept_frames *kept, uint64_t *stop)
{
    const struct hpp_walk *walk = w->walk;
    struct hpp_frame frame = {walk->pc, walk->sp, walk->fp, 1, 0};
    const struct hpp_walk_known *known = find_rule(w, &frame);

    if (!known)
        known = &no_rule;
    for (;; w->is_leaf = 0) {
        if (w->steps-- <= 0)
            return HPP_WALK_TRUNCATED;
        if (step_plainly(w, known, &frame)) {
            *stop = frame.sp - 16;
        } else {
            struct hpp_frame here = frame; /* so that it can be in registers otherwise */
            enum hpp_walk_end end = step(w, &known->rule, &here, stop);
            if (end != HPP_WALK_GOES_ON)
                return end;
            frame = here;
        }
        if (!frame.exact && w->stack.live && !frame.fp_lost && is_met(w, &frame)) {
            repeat(w, kept);
            frame.pc = w->mark->pc;
            frame.sp = w->mark->sp;
            frame.fp = w->mark->fp;
            *stop = frame.sp - 16;
        }
        if (is_root(walk, &frame))
            return end_at_root(w, &frame);
        known = find_rule(w, &frame);
        if (!known) {
            *stop = frame.pc;
            /* a coroutine's first function returns to nowhere */
            return frame.pc || hpp_walk_on_own_stack(walk, frame.sp) ? HPP_WALK_NOT_CODE : HPP_WALK_ROOT;
        }
        if (frame.pc % HPP_ARCH_FUNCTION_ALIGNMENT == 0 && !frame.exact &&
            known->rule.cfa != HPP_CFA_SIGNAL && is_coroutine_end(walk, frame.pc, frame.sp))
            return HPP_WALK_ROOT;
        hpp_kept_add(kept, frame.pc + (uint64_t)frame.exact);
        if (known->rule.cfa == HPP_CFA_NONE && is_start(walk, &frame))
            return HPP_WALK_ROOT;
    }
}

void hpp_walk_frames(const struct hpp_walk *walk, uint64_t *frames, unsigned limit,
                     struct hpp_walk_result *result)
{
    struct hpp_walk_cache *cache = walk->code ? walk->cache : NULL;
    struct hpp_kept_frames kept = {frames, limit, 1};
    struct hpp_walker w;

    frames[0] = walk->pc;
    hpp_walker_init(&w, walk);
    if (cache) {
        hpp_walk_cache_renew(cache, walk->code->generation, walk->stack_end);
        w.mark = cache->last->mark;
        w.mark_end = cache->last->mark + cache->last->count;
        w.memo = cache->next;
        w.memo->count = 0;
    }
    result->end = walk_on(&w, &kept, &result->stop);
    if (w.memo && w.memo->count) {
        cache->next = cache->last;
        cache->last = w.memo;
    }
    result->count =
        result->end == HPP_WALK_TRUNCATED ? hpp_kept_give_up(&kept) : hpp_kept_finish(&kept, HPP_WALK_GAP);
    /* where no image is known yet, no table is */
    result->untold = w.untold + (!walk->code && !walk->no_tables);
}
