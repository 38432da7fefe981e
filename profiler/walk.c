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

/* How far ahead of a frame whose rule is not known yet return addresses are looked for, and how many. */
#define AHEAD_WORDS 192u
#define AHEAD_MAX   16u
#define AHEAD_NEAR  48u /* the rest is looked through when the walk is as near as this */

/* Rules that need no more than stack and frame pointer and two words of the stack. */
enum plain { NOT_PLAIN, BY_SP, BY_FP, BY_FP_CHAIN };

static const struct hpp_walk_known no_rule = {.rule = {.cfa = HPP_CFA_NONE}, .plain = BY_FP_CHAIN};

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

/* A rule that is not known yet costs waiting for memory, twice. Return addresses of the frames above lie in
 * the stack, among other words: asks for what will be needed of the table for all of them at once. */
static void look_ahead(struct hpp_walker *w, const struct hpp_segment *segment,
                       const struct hpp_unwind_table *table, uint64_t sp)
{
    const uint32_t *rows = hpp_unwind_rows(table);
    uint64_t at = w->looked_for == segment && w->looked_at > sp ? w->looked_at : sp;
    uint64_t end = at + AHEAD_WORDS * 8;
    uint64_t origin = segment->start - segment->link + table->base + 1;
    uint64_t pages[AHEAD_MAX];
    unsigned count = 0;

    if (at > sp + AHEAD_NEAR * 8 || !w->stack.live || at < w->stack.from || at % 8)
        return;
    if (end > w->stack.end)
        end = w->stack.end;
    for (; at < end && count < AHEAD_MAX; at += 8) {
        pages[count] = (*(const volatile uint64_t *)at - origin) >> table->shift;
        count += pages[count] < table->pages; /* no branch that would be predicted wrongly */
    }
    w->looked_for = segment;
    w->looked_at = at;
    for (unsigned i = 0; i < count; i++) {
        __builtin_prefetch(rows + hpp_unwind_first(table, pages[i]));
        __builtin_prefetch(rows + hpp_unwind_first(table, pages[i] + 1));
    }
}

/* What FRAME's rule is, from its file's table. Returns NULL if its pc is no code. */
static const struct hpp_walk_known *look_up(struct hpp_walker *w, const struct hpp_frame *frame,
                                            struct hpp_walk_known *known)
{
    uint64_t address = frame->pc - !frame->exact;
    const struct hpp_unwind_table *table;
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
    look_ahead(w, segment, table, frame->sp);
    known->pc = address;
    known->rule = *hpp_unwind_find(table, address - segment->start + segment->link);
    known->plain = plainness(&known->rule);
    return known;
}

static inline const struct hpp_walk_known *find_rule(struct hpp_walker *w, const struct hpp_frame *frame)
{
    uint64_t address = frame->pc - !frame->exact;
    struct hpp_walk_cache *cache = w->walk->cache;
    struct hpp_walk_known *known = cache ? &cache->known[hpp_walk_place(address)] : &w->known;

    if (known->pc == address && address && cache)
        return known;
    return look_up(w, frame, known);
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

/* Takes COUNT marks over from the last walk: few enough, or most of it is there already. */
static void take_over(struct hpp_walker *w, const struct hpp_walk_mark *mark, unsigned count)
{
    if (w->memo && count > w->memo->count)
        w->memo = NULL;
    for (unsigned i = 0; w->memo && i < count; i++) {
        struct hpp_frame frame = {mark[i].pc, mark[i].sp, mark[i].fp, 0, 0};
        remember(w, &frame, mark[i].fp_at == (uint64_t)(uintptr_t)&mark[i + 1].fp ? 0 : mark[i].fp_at);
    }
}

/* Where FRAME is one of the last walk's, goes up for as long as the stack still holds what it did then. */
static void repeat(struct hpp_walker *w, struct hpp_frame *frame, struct hpp_kept_frames *kept)
{
    const struct hpp_walk_memo *last = &w->walk->cache->memo[w->walk->cache->present];
    const struct hpp_walk_mark *mark = last->mark + w->mark, *end = last->mark + last->count;
    unsigned most, room, same = 0;

    while (mark < end && mark->sp < frame->sp)
        mark++;
    w->mark = (unsigned)(mark - last->mark);
    if (mark == end || mark->sp != frame->sp || mark->pc != frame->pc || mark->fp != frame->fp)
        return;
    most = (unsigned)(end - mark) - 1 < w->steps ? (unsigned)(end - mark) - 1 : w->steps;
    room = kept->count < kept->limit ? kept->limit - kept->count : 0;
    for (uint64_t *to = kept->frames + kept->count; same < most && same < room; same++) {
        if (!leads_on(mark + same))
            break;
        to[same] = mark[same + 1].pc;
    }
    kept->count += same;
    for (; same >= room && same < most && leads_on(mark + same); same++)
        hpp_kept_add(kept, mark[same + 1].pc);
    take_over(w, mark, same);
    *frame = (struct hpp_frame){mark[same].pc, mark[same].sp, mark[same].fp, 0, 0};
    w->steps -= same;
    w->depth += same;
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
    const struct hpp_walk_stack *stack = &w->stack;
    uint64_t cfa, fp_at = 0, limit = stack->end;

    if (!known->plain || !stack->live || frame->fp_lost)
        return 0;
    cfa = (known->plain == BY_SP ? frame->sp : frame->fp) + (uint64_t)(int64_t)known->rule.cfa_offset;
    if (known->plain == BY_FP_CHAIN) {
        if (frame->fp < frame->sp || frame->fp == w->walk->root_fp || frame->fp > limit - 16)
            return 0;
        cfa = frame->fp + 16;
        fp_at = frame->fp;
    } else if (known->rule.fp == HPP_SAVED_AT_CFA) {
        fp_at = cfa + (uint64_t)(int64_t)known->rule.fp_offset;
        if (fp_at < frame->sp || fp_at > limit - 8)
            return 0;
    }
    if (cfa <= frame->sp || cfa > limit || frame->sp < stack->from || (cfa | fp_at) % 8)
        return 0;
    if (known == &no_rule && !w->walk->no_tables)
        forget(w); /* a table may come */
    else if (!frame->exact)
        remember(w, frame, fp_at);
    frame->pc = *(const volatile uint64_t *)(cfa - 8);
    frame->sp = cfa;
    frame->exact = 0;
    if (fp_at)
        frame->fp = *(const volatile uint64_t *)fp_at;
    return 1;
}

/* Whether FRAME is none, but where a coroutine's first function returns to: makecontext and its kin have put
 * the start of a function there, and no call ends before that. */
static int is_coroutine_end(const struct hpp_walk *walk, const struct hpp_frame *frame)
{
    uint64_t before[2];

    return !frame->exact && frame->pc % HPP_ARCH_FUNCTION_ALIGNMENT == 0 &&
           !hpp_walk_on_own_stack(walk, frame->sp) &&
           !hpp_checked_read(frame->pc - sizeof before, &before[0], &before[1]) &&
           !hpp_arch_ends_with_call((const uint8_t *)before + sizeof before);
}

/* From FRAME to its caller's. Where that cannot be, *STOP gets the address that is to blame. */
static enum hpp_walk_end step(struct hpp_walker *w, const struct hpp_unwind_rule *rule,
                              struct hpp_frame *frame, uint64_t *stop)
{
    *stop = frame->sp;
    forget(w);
    if (rule->cfa == HPP_CFA_END)
        return HPP_WALK_ROOT;
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

    for (;; w->depth++) {
        const struct hpp_walk_known *known;
        enum hpp_walk_end end;

        if (w->depth && is_root(walk, &frame))
            return HPP_WALK_ROOT;
        known = find_rule(w, &frame);
        if (!known && w->depth) {
            *stop = frame.pc;
            /* a coroutine's first function returns to nowhere */
            return frame.pc || hpp_walk_on_own_stack(walk, frame.sp) ? HPP_WALK_NOT_CODE : HPP_WALK_ROOT;
        }
        if (w->depth && known && known->rule.cfa != HPP_CFA_SIGNAL && is_coroutine_end(walk, &frame))
            return HPP_WALK_ROOT;
        hpp_kept_add(kept, frame.pc + (w->depth && frame.exact));
        if (walk->cache && w->stack.live && w->depth && !frame.exact && !frame.fp_lost) {
            uint64_t sp = frame.sp;
            repeat(w, &frame, kept);
            if (frame.sp != sp)
                known = find_rule(w, &frame);
        }
        if (!w->steps)
            return HPP_WALK_TRUNCATED;
        w->steps--;
        known = known ? known : &no_rule;
        if (w->depth && known->rule.cfa == HPP_CFA_NONE && is_start(walk, &frame))
            return HPP_WALK_ROOT;
        if (step_plainly(w, known, &frame)) {
            *stop = frame.sp - 16;
            continue;
        }
        end = step(w, &known->rule, &frame, stop);
        if (end != HPP_WALK_GOES_ON)
            return end;
    }
}

void hpp_walk_frames(const struct hpp_walk *walk, uint64_t *frames, unsigned limit,
                     struct hpp_walk_result *result)
{
    struct hpp_walk_cache *cache = walk->code ? walk->cache : NULL;
    struct hpp_walker w;
    struct hpp_kept_frames kept = {frames, limit, 0};

    hpp_walker_init(&w, walk);
    if (cache) {
        hpp_walk_cache_renew(cache, walk->code->generation);
        w.memo = &cache->memo[!cache->present];
        w.memo->count = 0;
    }
    result->end = walk_on(&w, &kept, &result->stop);
    if (w.memo && w.memo->count)
        cache->present = !cache->present;
    result->count =
        result->end == HPP_WALK_TRUNCATED ? hpp_kept_give_up(&kept) : hpp_kept_finish(&kept, HPP_WALK_GAP);
    result->untold = w.untold;
}
