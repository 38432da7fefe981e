/* Samples on their way from the signal handlers to the writer (the only consumer): wait-free, in whole
 * records that never wrap. A handler has a ring to itself while it takes its sample, or goes to another; the
 * head moves only when a record is whole, so a thread that dies inside the handler leaves nothing half. */
#ifndef HPP_PROFILER_RING_H
#define HPP_PROFILER_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "profiler/walk_cache.h"

#define HPP_RING_WORDS 8192u /* 64 KiB; a power of two */
#define HPP_DEPTH_MAX  1024u /* frames recorded of one stack, at most */

/* A record is a first word, the address that the walk stopped at, whose it is, and the frames. First word:
 * frames (15 bits), whether a table was missing, how the walk ended, the epoch's low bits, weight. */
#define HPP_RECORD_WORDS 3u /* before the frames */
#define HPP_RECORD(frames, end, weight) \
    ((uint64_t)(frames) | (uint64_t)(end) << 16 | (uint64_t)(uint32_t)(weight) << 32)
#define HPP_RECORD_FRAMES(word) ((unsigned)((word)&0x7fff))
#define HPP_RECORD_END(word)    ((unsigned)((word) >> 16 & 0xff))
#define HPP_RECORD_EPOCH(word)  ((uint8_t)((word) >> 24))
#define HPP_RECORD_AT(epoch)    ((uint64_t)(uint8_t)(epoch) << 24) /* to be ORed in */
#define HPP_RECORD_WEIGHT(word) ((uint32_t)((word) >> 32))
#define HPP_RECORD_UNTOLD       0x8000u /* to be ORed in: walked by frame pointer for want of a table */
#define HPP_RECORD_PAD          0x7fffu /* as number of frames: skip to the ring's beginning */

/* One without frames: what the thread used after its last sample, for which that is to stand too. */
#define HPP_RECORD_IS_REST(word) (!HPP_RECORD_FRAMES(word))

/* Its third word: the index of the thread's slot, and the label that the thread had. */
#define HPP_RECORD_OF(slot, label) ((uint64_t)(uint32_t)(slot) | (uint64_t)(uint32_t)(label) << 32)
#define HPP_RECORD_SLOT(word)      ((uint32_t)(word))
#define HPP_RECORD_LABEL(word)     ((uint32_t)((word) >> 32))

/* head, floor and tail count words, for ever; a place in the ring is their low bits. Zeroed at first. In
 * pages of its own: a handler needs few of them. */
struct hpp_ring {
    _Alignas(4096) atomic_int busy;     /* a handler has it, and reads a code map */
    _Atomic uint64_t head;              /* words ever written; producer's */
    _Atomic uint64_t floor;             /* what is below was read, or never written; producer's */
    _Alignas(64) _Atomic uint64_t tail; /* words ever read; consumer's */
    _Alignas(64) uint64_t words[HPP_RING_WORDS];
    struct hpp_walk_cache cache; /* for who has it */
};

/* Takes the ring, if nobody has it. Handler only. */
static inline int hpp_ring_take(struct hpp_ring *ring)
{
    return !atomic_load_explicit(&ring->busy, memory_order_relaxed) && !atomic_exchange(&ring->busy, 1);
}

static inline void hpp_ring_release(struct hpp_ring *ring)
{
    atomic_store_explicit(&ring->busy, 0, memory_order_release);
}

/* The later of two counts. */
static inline uint64_t hpp_ring_later(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) > 0 ? a : b;
}

/* How many words are in use. Anybody, as an estimate. */
static inline uint64_t hpp_ring_used(struct hpp_ring *ring)
{
    uint64_t tail = hpp_ring_later(atomic_load(&ring->tail), atomic_load(&ring->floor));
    uint64_t head = atomic_load(&ring->head);

    return hpp_ring_later(head, tail) - tail;
}

/* Room for a record of DEPTH frames in one piece, or NULL if the ring is full. A ring that is empty is begun
 * anew, so that of one that is read in time little memory is ever touched. Who has taken the ring only. */
static inline uint64_t *hpp_ring_reserve(struct hpp_ring *ring, unsigned depth)
{
    unsigned need = HPP_RECORD_WORDS + depth;
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = hpp_ring_later(atomic_load_explicit(&ring->tail, memory_order_acquire),
                                   atomic_load_explicit(&ring->floor, memory_order_relaxed));
    uint64_t space = HPP_RING_WORDS - (head - tail);
    unsigned at = head & (HPP_RING_WORDS - 1);

    if (tail == head && at) {
        head += HPP_RING_WORDS - at;
        atomic_store_explicit(&ring->floor, head, memory_order_relaxed);
        atomic_store_explicit(&ring->head, head, memory_order_release);
        return ring->words;
    }
    if (HPP_RING_WORDS - at < need) {
        if (space < HPP_RING_WORDS - at + need)
            return NULL;
        ring->words[at] = HPP_RECORD_PAD;
        head += HPP_RING_WORDS - at;
        atomic_store_explicit(&ring->head, head, memory_order_release);
        return ring->words;
    }
    return space < need ? NULL : ring->words + at;
}

/* Publishes the COUNT words written where hpp_ring_reserve said. Who has taken the ring only. */
static inline void hpp_ring_commit(struct hpp_ring *ring, unsigned count)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + count, memory_order_release);
}

/* The oldest record, or NULL if there is none. Writer only; the record stays until hpp_ring_consume. */
static inline uint64_t *hpp_ring_peek(struct hpp_ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint64_t read = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t tail = hpp_ring_later(read, atomic_load_explicit(&ring->floor, memory_order_relaxed));
    unsigned at = tail & (HPP_RING_WORDS - 1);

    if (tail != read)
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
    if ((int64_t)(head - tail) <= 0)
        return NULL;
    if (HPP_RECORD_FRAMES(ring->words[at]) == HPP_RECORD_PAD) {
        tail += HPP_RING_WORDS - at;
        at = 0;
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
    }
    return tail == head ? NULL : ring->words + at;
}

static inline void hpp_ring_consume(struct hpp_ring *ring, const uint64_t *record)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + HPP_RECORD_WORDS + HPP_RECORD_FRAMES(record[0]),
                          memory_order_release);
}

#endif
