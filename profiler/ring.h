/* One thread's samples on their way from its signal handler (the only producer) to the writer (the only
 * consumer): wait-free, in whole records that never wrap. The head moves only when a record is whole, so
 * a thread that dies inside the handler leaves nothing half. */
#ifndef HPP_PROFILER_RING_H
#define HPP_PROFILER_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HPP_RING_WORDS 8192u /* 64 KiB; a power of two */
#define HPP_DEPTH_MAX  1024u /* frames recorded of one stack, at most */

/* A record's first word: frames (15 bits), whether a table was missing, how the walk ended, the epoch's low
 * bits, weight. */
#define HPP_RECORD_WORDS 2u /* before the frames: this word, and the address the walk stopped at */
#define HPP_RECORD(frames, end, weight) \
    ((uint64_t)(frames) | (uint64_t)(end) << 16 | (uint64_t)(uint32_t)(weight) << 32)
#define HPP_RECORD_FRAMES(word) ((unsigned)((word)&0x7fff))
#define HPP_RECORD_END(word)    ((unsigned)((word) >> 16 & 0xff))
#define HPP_RECORD_EPOCH(word)  ((uint8_t)((word) >> 24))
#define HPP_RECORD_AT(epoch)    ((uint64_t)(uint8_t)(epoch) << 24) /* to be ORed in */
#define HPP_RECORD_WEIGHT(word) ((uint32_t)((word) >> 32))
#define HPP_RECORD_UNTOLD       0x8000u /* to be ORed in: walked by frame pointer for want of a table */
#define HPP_RECORD_PAD          0x7fffu /* as number of frames: skip to the ring's beginning */

struct hpp_ring {
    uint64_t *words;
    _Atomic uint64_t head; /* words ever written; producer's */
    _Atomic uint64_t tail; /* words ever read; consumer's */
};

/* Room for a record of DEPTH frames in one piece, or NULL if the ring is full. Handler only. */
static inline uint64_t *hpp_ring_reserve(struct hpp_ring *ring, unsigned depth)
{
    unsigned need = HPP_RECORD_WORDS + depth;
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t space = HPP_RING_WORDS - (head - atomic_load_explicit(&ring->tail, memory_order_acquire));
    unsigned at = head & (HPP_RING_WORDS - 1);

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

/* Publishes the COUNT words written where hpp_ring_reserve said. Handler only. */
static inline void hpp_ring_commit(struct hpp_ring *ring, unsigned count)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + count, memory_order_release);
}

/* The oldest record, or NULL if there is none. Writer only; the record stays until hpp_ring_consume. */
static inline uint64_t *hpp_ring_peek(struct hpp_ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    unsigned at = tail & (HPP_RING_WORDS - 1);

    if (tail != head && HPP_RECORD_FRAMES(ring->words[at]) == HPP_RECORD_PAD) {
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
