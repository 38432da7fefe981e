/* The 2 MiB at each end of a segment, which hold more than its text: a gap, or read-only data of the same
 * file, which becomes executable (HPPROF_REMAP_EDGES=absorb). Start-up code and writer. */
#ifndef HPP_PRELOAD_REMAP_EDGES_H
#define HPP_PRELOAD_REMAP_EDGES_H

#include "preload/remap/move.h"

#define HPP_EDGE_PIECES 8u

enum hpp_edge_kind {
    HPP_EDGE_FILE,     /* mapped from the file */
    HPP_EDGE_HELD,     /* what the loader keeps between an object's segments, with no access */
    HPP_EDGE_FREE,     /* not mapped */
    HPP_EDGE_RESERVED, /* not mapped, until we have reserved it */
};

/* What lies at [start, end) of an edge; but for the file's, its bytes are 0. */
struct hpp_edge_piece {
    enum hpp_edge_kind kind;
    uint64_t start, end;
    uint64_t offset; /* in the file */
    int protection;
};

struct hpp_edge {
    uint64_t text_start, text_end; /* the text in it */
    uint64_t data;                 /* bytes of read-only data in it */
    int dumped;                    /* core dumps are to have it */
    int moved;
    unsigned count;
    struct hpp_edge_piece pieces[HPP_EDGE_PIECES];
};

/* Moves the first, or the last, 2 MiB of SEGMENT, which lie at START, by the first of BACKENDS that can, if
 * all that is beside the text there may be absorbed. Records what became of the text in them. */
void hpp_edge_absorb(const struct hpp_remap_backend *const *backends, const struct hpp_segment *segment,
                     uint64_t start, struct hpp_remap_list *list);

/* Both ends of SEGMENT, whose whole huge pages are [START, END), as far as LEFT bytes go. Returns what was
 * tried of them. */
uint64_t hpp_edge_absorb_both(const struct hpp_remap_backend *const *backends,
                              const struct hpp_segment *segment, uint64_t start, uint64_t end, uint64_t left,
                              struct hpp_remap_list *list);

/* Of a move of an edge. Fills its stage, which is zeroed. Returns NULL or a reason. */
const char *hpp_edge_fill(struct hpp_remap_move *move);

/* Whether what lies there now is what was found, with each gap reserved, or -errno; and whether it is other
 * than the stage, or -errno. */
int hpp_edge_is_there(const struct hpp_remap_move *move);
int hpp_edge_differs(const struct hpp_remap_move *move);

/* RECORD, which is of all of it, comes to be of the text in it. */
void hpp_edge_describe(const struct hpp_edge *edge, struct hpp_remap_record *record);

/* Whether it lies in memory as in the file. */
int hpp_edge_is_whole(const struct hpp_edge *edge);

/* Puts what is the file's back where mremap has left a hole. Returns 0 or an error. */
int hpp_edge_restore(const struct hpp_remap_move *move);

#endif
