/* Turns ring records into distinct stacks with weights, and addresses into locations. Writer only (or,
 * where there is none, the exiting program); memory from its own arenas. */
#ifndef HPP_PROFILER_AGGREGATE_H
#define HPP_PROFILER_AGGREGATE_H

#include <stdint.h>

#include "common/arena.h"
#include "common/image.h"

/* Ids of the locations that stand for no address; they come first in every file. */
#define HPP_LOCATION_UNFINISHED  1u
#define HPP_LOCATION_TRUNCATED   2u
#define HPP_LOCATION_SHORT_LIVED 3u
#define HPP_LOCATION_BLOCKED     4u
#define HPP_LOCATION_UNSAMPLED   5u
#define HPP_LOCATIONS_SPECIAL    5u

/* A distinct address. Its id in the profile is its index + 1. */
struct hpp_location {
    uint64_t address;
    uint32_t mapping; /* segment serial + 1, or 0 if no segment holds it */
};

/* A distinct stack of one thread since the last flush. */
struct hpp_stack {
    struct hpp_stack *next; /* in order of first appearance */
    uint64_t hash;
    uint64_t weight;
    uint64_t booked_ns; /* instead of weight and thread: CPU time without a sample */
    int tid;
    uint32_t name;  /* index into strings: the thread's name */
    uint32_t label; /* labels.h; 0: none */
    uint32_t count; /* of locations, leaf first */
    uint32_t locations[];
};

struct hpp_aggregate {
    struct hpp_arena arena;        /* strings, locations: for the life of the process */
    struct hpp_arena stack_arena;  /* stacks: until the next flush */
    struct hpp_arena before_arena; /* those of the chunk before */

    const char **strings; /* string table of the profile; [0] is "" */
    uint32_t string_count;
    uint32_t string_capacity;

    struct hpp_location *locations;
    uint32_t location_count;
    uint32_t location_capacity;
    uint32_t *location_index; /* hash table of indices + 1 */
    uint32_t location_slots;  /* its size, a power of two */

    uint32_t (*labels)[2]; /* by label: its key and value as strings; 0: not asked for yet */
    uint32_t last_key;     /* the key of the one that was asked for last; 0: none was */

    const struct hpp_segment **segments; /* by serial */
    uint32_t segment_count;
    uint32_t segment_capacity;

    struct hpp_stack *first;
    struct hpp_stack **last;
    struct hpp_stack **stack_index; /* hash table */
    uint32_t stack_slots;
    uint32_t stack_count;
    uint64_t begun; /* Unix time when the first of the stacks came, ns */

    uint64_t samples;     /* weight taken in since the start, without what was booked */
    uint64_t lost_weight; /* weight for which there was no memory */
};

/* Makes AGGREGATE ready, without memory: that comes with the first string, location or stack. */
void hpp_aggregate_init(struct hpp_aggregate *aggregate);

/* The index of STRING in the string table, added if new, with bytes that are not UTF-8 written as '?'.
 * 0 (the empty string) where there is no memory. */
uint32_t hpp_aggregate_string(struct hpp_aggregate *aggregate, const char *string);

/* Label NUMBER (labels.h) as two strings, *KEY and *VALUE. Returns 0, or -ENOENT if there is none, or no
 * memory. */
int hpp_aggregate_label(struct hpp_aggregate *aggregate, uint32_t number, uint32_t *key, uint32_t *value);

/* Takes note of the segments of MAP that are new, so that every serial has its mapping. */
int hpp_aggregate_segments(struct hpp_aggregate *aggregate, const struct hpp_code_map *map);

/* Adds one ring record (profiler/ring.h) of thread TID with name NAME. Returns its stack, which is there
 * until hpp_aggregate_clear is called twice; what cannot be held is added to lost_weight, and NULL
 * returned. */
struct hpp_stack *hpp_aggregate_add(struct hpp_aggregate *aggregate, const struct hpp_code_map *map,
                                    const uint64_t *record, int tid, uint32_t name);

/* That stack shall stand for WEIGHT more, in the present chunk. */
void hpp_aggregate_extend(struct hpp_aggregate *aggregate, const struct hpp_stack *stack, uint32_t weight);

/* Adds NS of CPU time that no sample stands for: a row of the location LEAF (HPP_LOCATION_…) and, unless
 * START_ROUTINE is 0, that function's. MAP may be NULL. Returns 0 or -ENOMEM. */
int hpp_aggregate_book(struct hpp_aggregate *aggregate, const struct hpp_code_map *map, uint32_t leaf,
                       uint64_t start_routine, uint64_t ns);

/* The stacks have been written: begins another chunk. */
void hpp_aggregate_clear(struct hpp_aggregate *aggregate);

#endif
