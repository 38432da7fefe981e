/* The table of sampled threads. Claiming and ending: the threads themselves, at their start and end;
 * look-up: the handler. */
#include "profiler/sampler.h"

#include <errno.h>

#include "common/arena.h"
#include "common/sys.h"
#include "profiler/adopt.h"
#include "profiler/signal_safe.h"

/* A value: 16 bits of mark, 32 of generation, 16 of index. */
#define MARK       0x4870ull
#define INDEX_BITS 16

#define RINGS_MIN     2u
#define WRITER_MEMORY (900u << 10) /* its stack, and the first chunk of each of its arenas */

_Static_assert(HPP_SLOT_NOBODY >> 48 == MARK && (HPP_SLOT_NOBODY & 0xffff) >= HPP_SLOTS, "");

struct hpp_sampler hpp_sampler;

void hpp_ring_map(uint32_t index)
{
    struct hpp_ring *none = NULL, *ring;
    uint32_t used = atomic_load(&hpp_sampler.rings_used);

    if (atomic_load(&hpp_sampler.rings[index]))
        return;
    ring = hpp_arena_map(sizeof *ring);
    if (ring && !atomic_compare_exchange_strong(&hpp_sampler.rings[index], &none, ring))
        hpp_sys_munmap((uint64_t)(uintptr_t)ring, sizeof *ring); /* another thread was faster */
    while (used <= index && !atomic_compare_exchange_weak(&hpp_sampler.rings_used, &used, index + 1))
        ;
}

/* One mapping for the pool's index, the slots and the first ring, which every process needs; and what else it
 * will map comes out of that. */
int hpp_sampler_init(uint64_t memory)
{
    uint64_t count = memory / sizeof(struct hpp_ring), index, slots;
    uint8_t *at;

    count = count < RINGS_MIN ? RINGS_MIN : count > HPP_SLOTS ? HPP_SLOTS : count;
    index = (count * sizeof *hpp_sampler.rings + 63) & ~63ull;
    slots = (index + HPP_SLOTS * sizeof *hpp_sampler.slots + 4095) & ~4095ull;
    if (hpp_arena_reserve(slots + sizeof(struct hpp_ring) + WRITER_MEMORY))
        return -ENOMEM;
    at = hpp_arena_map(slots + sizeof(struct hpp_ring));
    hpp_sampler.rings = (void *)at;
    hpp_sampler.ring_count = (uint32_t)count;
    hpp_sampler.slots = (void *)(at + index);
    atomic_store(&hpp_sampler.rings[0], (void *)(at + slots));
    atomic_store(&hpp_sampler.rings_used, 1);
    atomic_store(&hpp_sampler.multiplier, 1);
    hpp_sampler.pid = hpp_sys_getpid();
    return 0;
}

/* Another thread of the parent's may have been in the middle of whatever: all anew. */
static void forget_rings(const struct hpp_code_map *code)
{
    uint32_t used = atomic_load(&hpp_sampler.rings_used);

    for (uint32_t i = 0; i < used; i++) {
        struct hpp_ring *ring = atomic_load(&hpp_sampler.rings[i]);
        if (!ring)
            continue;
        atomic_store(&ring->busy, 0);
        atomic_store(&ring->head, 0);
        atomic_store(&ring->floor, 0);
        atomic_store(&ring->tail, 0);
        /* maps that the parent's writer made meanwhile are none of ours: the same numbers will be others */
        if (!code || ring->cache.generation > code->generation)
            ring->cache.generation = 0;
    }
}

void hpp_sampler_after_fork(const struct hpp_code_map *code)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    forget_rings(code);
    for (uint32_t i = 0; i < used; i++) {
        struct hpp_slot *slot = &hpp_sampler.slots[i];
        *slot = (struct hpp_slot){.timer = -1, .value = slot->value};
    }
    hpp_adopt_after_fork();
    hpp_arena_reserve_forget();
    atomic_store(&hpp_sampler.slots_used, 0);
    atomic_store(&hpp_sampler.code, code);
    atomic_store(&hpp_sampler.multiplier, 1);
    atomic_store(&hpp_sampler.forking, 0);
    atomic_store(&hpp_sampler.dropped, 0);
    atomic_store(&hpp_sampler.stale, 0);
    atomic_store(&hpp_sampler.unsampled, 0);
    hpp_sampler.pid = hpp_sys_getpid();
}

/* Takes the slot at INDEX if it is free. */
static int take(uint32_t index)
{
    uint32_t expected = HPP_SLOT_FREE;
    return atomic_compare_exchange_strong(&hpp_sampler.slots[index].state, &expected, HPP_SLOT_CLAIMED);
}

/* For thread TID, the calling one or, where the writer calls, another. */
static struct hpp_slot *prepare(uint32_t index, int tid)
{
    struct hpp_slot *slot = &hpp_sampler.slots[index];
    uint32_t generation = (uint32_t)(slot->value >> INDEX_BITS) + 1;

    /* a thread that ended without telling us left its timer behind */
    if (!slot->value) {
        slot->timer = -1;
    } else if (slot->timer >= 0 &&
               hpp_sys_getpid() == hpp_sampler.pid) { /* else who makes the next deletes it */
        HPP_SYSCALL(timer_delete, slot->timer, 0, 0, 0, 0, 0);
        slot->timer = -1;
    }
    slot->home = index % hpp_sampler.ring_count;
    hpp_ring_map(slot->home);
    slot->tid = tid;
    slot->name[0] = 0;
    slot->named_at = 0;
    slot->stack_low = slot->stack_end = 0;
    slot->root_fp = 0;
    slot->start_sp = 0;
    slot->unblocked = 0;
    slot->weight = 0;
    slot->multiplier = 1;
    slot->untold = 0;
    slot->head = slot->is_new = 0;
    slot->first_at = slot->first_weight = 0;
    slot->label_at = NULL;
    slot->start_routine = 0;
    slot->value = MARK << 48 | (uint64_t)generation << INDEX_BITS | index;
    return slot;
}

/* Where the search for a free slot begins: at the one that was freed last. */
static _Atomic uint32_t the_hint;

/* The index of a slot that is now the caller's, or HPP_SLOTS. */
static uint32_t find_free(void)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used), hint = atomic_load(&the_hint);

    for (uint32_t i = 0; i < used; i++) {
        uint32_t index = (hint + i) % used;
        if (take(index)) {
            atomic_store(&the_hint, index + 1);
            return index;
        }
    }
    for (uint32_t index = used; index < HPP_SLOTS; index++) {
        atomic_compare_exchange_strong(&hpp_sampler.slots_used, &(uint32_t){index}, index + 1);
        if (take(index))
            return index;
    }
    return HPP_SLOTS;
}

struct hpp_slot *hpp_slot_claim(void)
{
    return hpp_slot_claim_for(hpp_sys_gettid());
}

struct hpp_slot *hpp_slot_claim_for(int tid)
{
    uint32_t index = find_free();
    struct hpp_slot *slot = index < HPP_SLOTS ? prepare(index, tid) : NULL;

    if (!slot)
        atomic_fetch_add(&hpp_sampler.unsampled, 1);
    return slot;
}

static int has_pending(const struct hpp_slot *slot)
{
    return atomic_load(&slot->put) != atomic_load(&slot->taken);
}

void hpp_slot_end(struct hpp_slot *slot)
{
    atomic_store(&slot->state, HPP_SLOT_ENDING);
    if (has_pending(slot)) {
        atomic_store(&slot->state, HPP_SLOT_ENDED);
        return;
    }
    /* it need not wait for the writer: threads may come and go faster than that */
    atomic_store(&the_hint, (uint32_t)(slot - hpp_sampler.slots));
    atomic_store(&slot->state, HPP_SLOT_FREE);
}

void hpp_slot_taken(struct hpp_slot *slot, uint32_t count)
{
    atomic_fetch_add(&slot->taken, count);
    if (atomic_load(&slot->state) == HPP_SLOT_ENDED && !has_pending(slot))
        atomic_store(&slot->state, HPP_SLOT_FREE);
}

int hpp_slot_is_value(uint64_t value)
{
    return value >> 48 == MARK;
}

struct hpp_slot *hpp_slot_of(uint64_t value)
{
    uint32_t index = value & ((1u << INDEX_BITS) - 1);
    struct hpp_slot *slot;

    if (!hpp_slot_is_value(value) || index >= HPP_SLOTS || !hpp_sampler.slots)
        return NULL;
    slot = &hpp_sampler.slots[index];
    return slot->value == value && atomic_load(&slot->state) == HPP_SLOT_ACTIVE ? slot : NULL;
}
