/* How a range of text gets onto huge pages: the flow is one (swap.c), what differs is a backend. Start-up
 * code and writer. Nothing here calls libc or anything else that could lie in the text being moved; the
 * agent's own text never is. */
#ifndef HPP_PRELOAD_REMAP_MOVE_H
#define HPP_PRELOAD_REMAP_MOVE_H

#include "preload/remap/remap.h"

struct hpp_edge;

/* Reasons that several may have. */
#define HPP_REMAP_NOT_ITS_FILE "part of it is writable or not the file's"
#define HPP_REMAP_NO_MAPS      "/proc/self/maps cannot be read"

/* One try of one backend. */
struct hpp_remap_move {
    const struct hpp_segment *segment;
    struct hpp_remap_list *list;
    const struct hpp_remap_backend *backend;
    struct hpp_edge *edge; /* NULL: all of it is the segment's text, in the file as in memory */
    int fd;                /* of the file that the text comes from; open until nothing can fail any more */
    uint64_t start;        /* the text: whole huge pages */
    uint64_t end;
    uint64_t stage; /* where its copy is made; a multiple of HPP_HUGE_PAGE; 0: none */
    uint64_t began; /* ns */
    long error;     /* -errno of the call whose failure the last reason is; 0: it was no call */
};

struct hpp_remap_backend {
    const char *name; /* as HPPROF_REMAP has it */
    /* Makes the stage: populated with the file's bytes, and not writable and executable at once. Returns
     * NULL, or why it cannot, and move->error; what it has mapped by then is in move->stage. Of a backend
     * without a stage: makes the text huge where it is, as far as that goes, and returns why not all is. */
    const char *(*make)(struct hpp_remap_move *move);
    const char
        *no_execution; /* what it means when the stage may not be made executable; NULL: there is none */
};

extern const struct hpp_remap_backend hpp_remap_anon, hpp_remap_memfd, hpp_remap_hugetlb, hpp_remap_file,
    hpp_remap_cache, hpp_remap_cache_warm; /* of that only what is in memory */

/* Backend cache: where copies of text are, SETTING (which stays) as HPPROF_TEXT_CACHE has it. Before the
 * first move. */
void hpp_remap_cache_in(const char *setting);

/* Whether there is a folder for them: all that this costs is to ask for it. */
int hpp_remap_cache_is_there(const char *setting);

#define HPP_REMAP_CHAIN 5 /* at most, with the NULL at the end */

/* For each way that can be asked for (enum hpp_remap_how), what is tried, in turn. */
extern const struct hpp_remap_backend *const hpp_remap_chains[][HPP_REMAP_CHAIN];

/* Moves [START, END) of SEGMENT by the first of BACKENDS (NULL-terminated) that can, what one could not by
 * the next, and records what became of each part. What is on huge pages already stays. */
void hpp_remap_range(const struct hpp_remap_backend *const *backends, const struct hpp_segment *segment,
                     uint64_t start, uint64_t end, struct hpp_remap_list *list);

/* The same of the 2 MiB at START, which are EDGE. Returns whether they moved. */
int hpp_remap_edge(const struct hpp_remap_backend *const *backends, const struct hpp_segment *segment,
                   uint64_t start, struct hpp_edge *edge, struct hpp_remap_list *list);

/* Address space of the move's size for its stage, aligned, with no access. Returns NULL or a reason. */
const char *hpp_remap_reserve(struct hpp_remap_move *move);

/* Once the stage is mapped: no core dump holds it, ever, and no fork child until it is text. Returns NULL or
 * a reason. */
const char *hpp_remap_keep_apart(struct hpp_remap_move *move);

/* Populates the stage, which is writable, with the file's bytes. Returns NULL or a reason. */
const char *hpp_remap_fill(struct hpp_remap_move *move);

/* Whether [START, END) of the text is not what the stage has of it; -errno where it cannot be read. */
int hpp_remap_differs(const struct hpp_remap_move *move, uint64_t start, uint64_t end);

/* REASON, and that it was ERROR, -errno, of a call of MOVE's. */
static inline const char *hpp_remap_failed(struct hpp_remap_move *move, long error, const char *reason)
{
    move->error = error;
    return reason;
}

/* The offset in the file of the byte at text address AT. */
static inline uint64_t hpp_remap_offset(const struct hpp_remap_move *move, uint64_t at)
{
    return move->segment->file_offset + (at - move->segment->start);
}

#endif
