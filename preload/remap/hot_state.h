/* What the parts of hot remap share: hot.c counts and moves, hot_found.c finds what is huge without us,
 * hot_comments.c tells. Writer. */
#ifndef HPP_PRELOAD_REMAP_HOT_STATE_H
#define HPP_PRELOAD_REMAP_HOT_STATE_H

#include "preload/remap/former.h"
#include "preload/remap/hot_slots.h"
#include "preload/remap/remap.h"

extern struct hpp_hot {
    /* what is to be done, and what was */
    const struct hpp_remap_options *options;
    struct hpp_remap_list *list;
    struct hpp_arena arena; /* the list's, from here on */
    int moves;
    const char *no_more; /* why nothing is moved any more, or NULL */
    uint64_t left;       /* bytes that may still be moved */
    unsigned put_backs;  /* hpp_put_back_count, when the profile was last told what is there */

    /* our own samples */
    struct hpp_hot_slots table;
    uint64_t weight; /* of all since the last look */
    uint64_t looked; /* the process's CPU time then */

    /* a former profile */
    struct hpp_former former;
    int former_read;
    int former_due;          /* not all that it says has been moved yet */
    int by_former;           /* what is hot is said by it now, and not by our own samples */
    const char *refused;     /* why it is not used, until that is told */
    uint32_t former_serials; /* segments that it has been held against */
} hpp_hot;

/* Whether the present images have SEGMENT. */
int hpp_hot_has(const struct hpp_segment *segment);

/* Records that [START, END) of SEGMENT was left, and why. */
void hpp_hot_leave(const struct hpp_segment *segment, uint64_t start, uint64_t end, const char *reason);

/* Records what of SEGMENT's text lies on huge pages and was not moved by us. */
void hpp_hot_find(const struct hpp_segment *segment);

#endif
