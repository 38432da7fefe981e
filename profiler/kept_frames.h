/* The frames of a walk as they come, leaf first: all of them, or of a stack deeper than the limit the
 * leafmost half and the rootmost rest, with a gap between. Signal handler. */
#ifndef HPP_PROFILER_KEPT_FRAMES_H
#define HPP_PROFILER_KEPT_FRAMES_H

#include <stdint.h>

struct hpp_kept_frames {
    uint64_t *frames;
    unsigned limit; /* at least 4 */
    unsigned count; /* ever added */
};

static inline unsigned hpp_kept_head(const struct hpp_kept_frames *kept)
{
    return kept->limit / 2;
}

/* Past the limit the places behind the gap are a ring: the newest frame takes the place of the oldest. */
static __attribute__((noinline, cold, unused)) void hpp_kept_add_to_ring(const struct hpp_kept_frames *kept,
                                                                         uint64_t address)
{
    unsigned first = hpp_kept_head(kept) + 1;

    kept->frames[first + (kept->count - first) % (kept->limit - first)] = address;
}

static inline void hpp_kept_add(struct hpp_kept_frames *kept, uint64_t address)
{
    if (kept->count < kept->limit)
        kept->frames[kept->count] = address;
    else
        hpp_kept_add_to_ring(kept, address);
    kept->count++;
}

static inline void hpp_kept_reverse(uint64_t *from, uint64_t *to)
{
    while (from < to) {
        uint64_t word = *from;
        *from++ = *--to;
        *to = word;
    }
}

static __attribute__((noinline, cold, unused)) unsigned hpp_kept_close_gap(const struct hpp_kept_frames *kept,
                                                                           uint64_t gap)
{
    unsigned first = hpp_kept_head(kept) + 1, size = kept->limit - first;
    uint64_t *ring = kept->frames + first, *oldest;

    oldest = ring + (kept->count - first) % size;
    hpp_kept_reverse(ring, oldest);
    hpp_kept_reverse(oldest, ring + size);
    hpp_kept_reverse(ring, ring + size);
    kept->frames[first - 1] = gap;
    return kept->limit;
}

/* Puts them into order, with GAP where some were left out, and tells how many words there are. */
static inline unsigned hpp_kept_finish(const struct hpp_kept_frames *kept, uint64_t gap)
{
    return kept->count <= kept->limit ? kept->count : hpp_kept_close_gap(kept, gap);
}

/* Of a walk that was given up: the frames before the gap. */
static inline unsigned hpp_kept_give_up(const struct hpp_kept_frames *kept)
{
    return kept->count <= kept->limit ? kept->count : hpp_kept_head(kept);
}

#endif
