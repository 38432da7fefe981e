/* What earlier walks found out: rules of return addresses, and the last stack, which the next walk of the
 * same thread mostly shares from some frame up. Signal handler only. */
#ifndef HPP_PROFILER_WALK_CACHE_H
#define HPP_PROFILER_WALK_CACHE_H

#include <stdint.h>

#include "common/unwind_table.h"

#define HPP_WALK_KNOWN 512u /* a power of two */
#define HPP_WALK_MARKS 256u

/* The rule for the code at pc. */
struct hpp_walk_known {
    uint64_t pc;
    struct hpp_unwind_rule rule;
    uint32_t plain; /* the rule is of the kinds that nearly all are (walk.c) */
};

/* A frame of the last stack, and where its caller's frame pointer was read (where it was the same: in the
 * next mark, so that it always is what is there). The return
 * address was read below the caller's stack pointer. Given a frame's registers, the rule's outcome depends
 * on these two words alone: where they still hold what they did, the caller is the next mark. */
struct hpp_walk_mark {
    uint64_t pc;
    uint64_t sp;
    uint64_t fp;
    uint64_t fp_at;
};

struct hpp_walk_memo {
    unsigned count;
    struct hpp_walk_mark mark[HPP_WALK_MARKS];
};

/* Zeroed at first. */
struct hpp_walk_cache {
    uint64_t generation;               /* of the code map that it is true for */
    uint64_t stack_end;                /* of the stack that the last walk was on */
    struct hpp_walk_memo *last, *next; /* the last walk's, and the one being made */
    struct hpp_walk_known known[HPP_WALK_KNOWN];
    struct hpp_walk_memo memo[2];
};

/* Where the rule for the code at ADDRESS is known, if it is (multiplicative hashing: Knuth, 6.4). */
static inline unsigned hpp_walk_place(uint64_t address)
{
    return ((uint32_t)address * 0x9e3779b1u) / (uint32_t)((1ull << 32) / HPP_WALK_KNOWN);
}

static __attribute__((noinline, cold, unused)) void hpp_walk_cache_clear(struct hpp_walk_cache *cache)
{
    for (unsigned i = 0; i < HPP_WALK_KNOWN; i++)
        cache->known[i].pc = 0;
    cache->known[hpp_walk_place(0)].pc = 1; /* 0 is no code */
    cache->last = &cache->memo[0];
    cache->next = &cache->memo[1];
    cache->last->count = 0;
}

static __attribute__((noinline, unused)) void hpp_walk_cache_change(struct hpp_walk_cache *cache,
                                                                    uint64_t generation, uint64_t stack_end)
{
    if (cache->generation != generation)
        hpp_walk_cache_clear(cache);
    cache->generation = generation;
    cache->last->count = 0;
    cache->stack_end = stack_end;
}

/* Forgets everything if it is not about the code map GENERATION, and the last stack if it did not end at
 * STACK_END: the marks' words must lie on the stack that is walked now. */
static inline void hpp_walk_cache_renew(struct hpp_walk_cache *cache, uint64_t generation, uint64_t stack_end)
{
    if (cache->generation != generation || cache->stack_end != stack_end)
        hpp_walk_cache_change(cache, generation, stack_end);
}

#endif
