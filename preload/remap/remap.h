/* Moves text to huge pages: what may be (plan.c), and how (move.h). Start-up code and writer; a swap is safe
 * under running threads. */
#ifndef HPP_PRELOAD_REMAP_REMAP_H
#define HPP_PRELOAD_REMAP_REMAP_H

#include <stdint.h>

#include "common/arena.h"
#include "common/image.h"

/* What happened to one range of text. */
struct hpp_remap_record {
    const struct hpp_segment *segment; /* NULL: the program's, not known yet */
    const char *backend;               /* NULL if it was left */
    uint64_t start;                    /* run-time addresses; whole huge pages where it was moved */
    uint64_t end;
    uint64_t huge;          /* bytes truly on huge pages after the move */
    uint64_t microseconds;  /* for all ranges of the segment, told with the first */
    uint64_t absorbed;      /* bytes beside them that came along, */
    uint64_t data;          /* and of these what is read-only data, executable since */
    uint64_t locked;        /* bytes pinned in memory */
    const char *not_locked; /* why not all of it is; NULL: it is, or it was not asked for */
    const char *reason;     /* NULL if it was moved; else why it was left where it was, */
    int error;              /* and which error a system call gave (errno); 0: none did */
    int hot;                /* while the program ran, not before main */
    /* the writer's own */
    uint64_t samples;      /* weight of samples in it since it was moved, */
    uint64_t told_samples; /* and what the profile tells of it */
    uint64_t put_back;     /* bytes that went back to small pages (put_back.h), as the profile tells */
    int unloaded;          /* its text is not there any more, and the profile tells that */
};

#define HPP_REMAP_FIRST 4u

/* Append-only: a fork child, made at any moment of the writer's, may rely on what COUNT says. */
struct hpp_remap_list {
    struct hpp_remap_record *records;
    _Atomic unsigned count;
    unsigned capacity; /* the last place is for when there is no memory for more */
    struct hpp_remap_record first[HPP_REMAP_FIRST];
    struct hpp_arena *arena;
    int hot;       /* records from here on are */
    int tentative; /* what is left is not recorded: it is looked at again */
};

/* The order of options.def. */
enum hpp_remap_how {
    HPP_REMAP_AUTO,
    HPP_REMAP_TRANSPARENT,
    HPP_REMAP_FILE,
    HPP_REMAP_CACHE,
    HPP_REMAP_ANON,
    HPP_REMAP_MEMFD,
    HPP_REMAP_HUGETLB,
    HPP_REMAP_OFF
};

/* The order of options.def. */
enum hpp_remap_edges { HPP_REMAP_INWARD, HPP_REMAP_ABSORB };

/* The order of options.def. */
enum hpp_remap_lock { HPP_REMAP_LOCK_OFF, HPP_REMAP_LOCK_TEXT };

/* The order of options.def. */
enum hpp_remap_when { HPP_REMAP_WHEN_AUTO, HPP_REMAP_WHEN_START, HPP_REMAP_WHEN_HOT };

struct hpp_remap_options {
    enum hpp_remap_how how;
    enum hpp_remap_when when;
    uint64_t min;           /* leave images with fewer bytes of whole huge pages */
    uint64_t max;           /* move at most so many bytes */
    const char *match;      /* glob on the path */
    const char *profile;    /* a former one, absolute, or "" */
    const char *text_cache; /* absolute, or "off", or "" for the default: hpp_text_cache_directory */
    enum hpp_remap_edges edges;
    enum hpp_remap_lock lock;
    const char *refused; /* why nothing is moved, whatever it is; or NULL */
    int data;
};

/* Whether all text moves before main. */
static inline int hpp_remap_at_start(const struct hpp_remap_options *options)
{
    return options->how != HPP_REMAP_OFF &&
           (options->when == HPP_REMAP_WHEN_START ||
            (options->when == HPP_REMAP_WHEN_AUTO && options->how != HPP_REMAP_AUTO));
}

/* Whether some does: all, or of `auto` what copies in a cache hold in memory, as that costs next to nothing
 * (and large folios of the page cache the kernel maps by itself). */
int hpp_remap_before_main(const struct hpp_remap_options *options);

/* Before main, moves what OPTIONS allow of the text in MAP and records each range in LIST. AGENT is the
 * segment of our own code, which does the moving and is left alone. The program is never worse off: whatever
 * fails, the bytes at every address of the text stay what they are, and executable. */
void hpp_remap_text(const struct hpp_code_map *map, const struct hpp_segment *agent,
                    const struct hpp_remap_options *options, struct hpp_remap_list *list);

/* [*START, *END): the whole huge pages of SEGMENT's text. Returns why they are not to be moved, NULL if they
 * are. */
const char *hpp_remap_refused(const struct hpp_segment *segment, const struct hpp_segment *agent,
                              const struct hpp_remap_options *options, uint64_t *start, uint64_t *end);

/* Records that the program's segment is too small to be moved. */
void hpp_remap_leave_small(struct hpp_remap_list *list);

/* Adds a record. Where there is no memory for it the last one says so, and of how many KiB. */
void hpp_remap_record(struct hpp_remap_list *list, const struct hpp_remap_record *record);

#endif
