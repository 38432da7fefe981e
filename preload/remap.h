/* Moves text to huge pages. Start-up code, before main; the swap itself is safe under running threads. */
#ifndef HPP_PRELOAD_REMAP_H
#define HPP_PRELOAD_REMAP_H

#include <stdint.h>

#include "common/arena.h"
#include "common/image.h"

/* What happened to one range of text. */
struct hpp_remap_record {
    const struct hpp_segment *segment; /* NULL: the program's, not known yet */
    uint64_t start;                    /* run-time addresses; whole huge pages where it was moved */
    uint64_t end;
    uint64_t huge;         /* bytes truly on huge pages after the move */
    uint64_t microseconds; /* for all ranges of the segment, told with the first */
    const char *reason;    /* NULL if it was moved; else why it was left where it was */
};

struct hpp_remap_list {
    struct hpp_remap_record *records;
    unsigned count;
    unsigned capacity;
    struct hpp_arena *arena;
};

struct hpp_remap_options {
    uint64_t min;      /* leave images with fewer bytes of whole huge pages */
    uint64_t max;      /* move at most so many bytes */
    const char *match; /* glob on the path */
};

/* Moves what OPTIONS allow of the text in MAP and records each range in LIST. AGENT is the segment of
 * our own code, which does the moving and is left alone. The program is never worse off: whatever
 * fails, the bytes at every address of the text stay what they are, and executable. */
void hpp_remap_text(const struct hpp_code_map *map, const struct hpp_segment *agent,
                    const struct hpp_remap_options *options, struct hpp_remap_list *list);

/* Records that the program's segment is too small to be moved. */
void hpp_remap_leave_small(struct hpp_remap_list *list);

/* Adds a record (dropped where there is no memory). */
void hpp_remap_record(struct hpp_remap_list *list, const struct hpp_remap_record *record);

/* Backend anon: moves [START, END) of SEGMENT, both multiples of HPP_HUGE_PAGE, to private anonymous
 * huge pages, as far as the bytes there are the file's, and records what became of each part. */
void hpp_remap_anonymous(const struct hpp_segment *segment, uint64_t start, uint64_t end,
                         struct hpp_remap_list *list);

#endif
