/* For benchmarks of the signal handler: batches of signals under a stack of a given depth. */
#ifndef HPP_BENCH_SELF_BATCH_H
#define HPP_BENCH_SELF_BATCH_H

#include "bench/self_signal.h"

enum { BATCH = 100 };

static unsigned records_good, records_bad;

/* Empties the ring and looks at what was in it. */
static void drain(unsigned depth)
{
    struct hpp_ring *ring = hpp_sampler.rings[slot->home];
    const uint64_t *record;

    while ((record = hpp_ring_peek(ring))) {
        int good = HPP_RECORD_FRAMES(*record) == depth && HPP_RECORD_END(*record) == HPP_WALK_ROOT;
        good ? records_good++ : records_bad++;
        hpp_ring_consume(ring, record);
    }
}

/* Sends a batch with FRAMES frames below the root's. */
static __attribute__((noinline)) void descend(unsigned frames)
{
    if (frames > 1)
        descend(frames - 1);
    else
        send_signals(BATCH);
    __asm__ volatile("");
}

/* The root: walks end at this function's frame, as in the agent at its function under main. */
static ROOT void run_batch(unsigned depth)
{
    slot->root_fp = (uint64_t)__builtin_frame_address(0);
    descend(depth);
    __asm__ volatile("");
}

#endif
