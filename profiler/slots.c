/* The table of sampled threads. Claiming and ending: the threads themselves, at their start and end;
 * look-up: the handler. */
#include "profiler/sampler.h"

#include <errno.h>

#include "common/sys.h"
#include "profiler/signal_safe.h"

/* A value: 16 bits of mark, 32 of generation, 16 of index. */
#define MARK       0x4870ull
#define INDEX_BITS 16

struct hpp_sampler hpp_sampler;

int hpp_sampler_init(void)
{
    hpp_sampler.pid = hpp_sys_getpid();
    if (!hpp_sampler.slots)
        hpp_sampler.slots = hpp_arena_map(HPP_SLOTS * sizeof *hpp_sampler.slots);
    return hpp_sampler.slots ? 0 : -ENOMEM;
}

void hpp_sampler_after_fork(const struct hpp_code_map *code)
{
    uint32_t used = atomic_load(&hpp_sampler.slots_used);

    for (uint32_t i = 0; i < used; i++) {
        struct hpp_slot *slot = &hpp_sampler.slots[i];
        uint64_t *words = slot->ring.words;
        uint64_t value = slot->value;
        struct hpp_walk_cache *cache = slot->cache;
        *slot = (struct hpp_slot){.timer = -1, .value = value, .ring.words = words, .cache = cache};
        /* the generations after the fork are others than the parent's */
        if (cache)
            cache->generation = 0;
    }
    atomic_store(&hpp_sampler.code, code);
    atomic_store(&hpp_sampler.forking, 0);
    atomic_store(&hpp_sampler.stale, 0);
    atomic_store(&hpp_sampler.unsampled, 0);
    atomic_store(&hpp_sampler.blocked, 0);
    atomic_store(&hpp_sampler.unsampled_ns, 0);
    hpp_sampler.pid = hpp_sys_getpid();
}

/* Takes the slot at INDEX if it is free. */
static int take(uint32_t index)
{
    uint32_t expected = HPP_SLOT_FREE;
    return atomic_compare_exchange_strong(&hpp_sampler.slots[index].state, &expected, HPP_SLOT_CLAIMED);
}

static struct hpp_slot *prepare(uint32_t index)
{
    struct hpp_slot *slot = &hpp_sampler.slots[index];
    uint32_t generation = (uint32_t)(slot->value >> INDEX_BITS) + 1;

    /* what a thread before it remembered is about another stack, which may have reached further */
    if (slot->cache)
        slot->cache->generation = 0;
    if (!slot->ring.words) {
        uint8_t *memory = hpp_arena_map(HPP_RING_WORDS * sizeof(uint64_t) + sizeof *slot->cache);
        slot->ring.words = (uint64_t *)memory;
        slot->cache = memory ? (struct hpp_walk_cache *)(memory + HPP_RING_WORDS * sizeof(uint64_t)) : NULL;
        slot->timer = -1;
    }
    if (!slot->ring.words) {
        atomic_store(&slot->state, HPP_SLOT_FREE);
        return NULL;
    }
    /* a thread that ended without telling us left its timer behind */
    if (slot->timer >= 0)
        HPP_SYSCALL(timer_delete, slot->timer, 0, 0, 0, 0, 0);
    slot->timer = -1;
    slot->tid = hpp_sys_gettid();
    slot->name[0] = 0;
    slot->named_at = 0;
    slot->root_fp = 0;
    slot->start_sp = 0;
    slot->weight = 0;
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
    uint32_t index = find_free();
    struct hpp_slot *slot = index < HPP_SLOTS ? prepare(index) : NULL;

    if (!slot)
        atomic_fetch_add(&hpp_sampler.unsampled, 1);
    return slot;
}

void hpp_slot_end(struct hpp_slot *slot)
{
    /* one that holds no sample need not wait for the writer: threads may come and go faster than that */
    int empty = atomic_load(&slot->ring.head) == atomic_load(&slot->ring.tail);

    if (empty)
        atomic_store(&the_hint, (uint32_t)(slot - hpp_sampler.slots));
    atomic_store(&slot->state, empty ? HPP_SLOT_FREE : HPP_SLOT_ENDED);
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
