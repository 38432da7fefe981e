/* Samples by the 2 MiB of text that they lie in. Writer. */
#ifndef HPP_PRELOAD_REMAP_HOT_SLOTS_H
#define HPP_PRELOAD_REMAP_HOT_SLOTS_H

#include "common/image.h"

#define HPP_HOT_SLOTS 1024u /* a power of two: 2 GiB of text */

#define HPP_HOT_UNMOVED UINT32_MAX

/* 2 MiB of a segment. */
struct hpp_hot_slot {
    const struct hpp_segment *segment; /* NULL: free */
    uint64_t start;
    uint64_t weight; /* until it is settled; then since the last look */
    uint64_t former; /* weight that a former profile has in it */
    int settled;     /* moved, or left for good */
    int huge;        /* all of it is on huge pages */
    int found;       /* it was huge, and not by us: that is recorded */
    unsigned range;  /* the record of its move: index + 1; 0: to be found; HPP_HOT_UNMOVED */
};

/* Zeroed at first. */
struct hpp_hot_slots {
    unsigned used;
    struct hpp_hot_slot slots[HPP_HOT_SLOTS];
};

/* Whether the 2 MiB at START are on huge pages. */
int hpp_hot_is_huge(uint64_t start);

/* The slot of the 2 MiB of SEGMENT at START, or a free one. */
struct hpp_hot_slot *hpp_hot_place(struct hpp_hot_slots *table, const struct hpp_segment *segment,
                                   uint64_t start);

/* The slot of the 2 MiB of SEGMENT around ADDRESS, made if it is new; those of segments that MAP has no more
 * go where room is needed. NULL if there is none. */
struct hpp_hot_slot *hpp_hot_slot(struct hpp_hot_slots *table, const struct hpp_code_map *map,
                                  const struct hpp_segment *segment, uint64_t address);

#endif
