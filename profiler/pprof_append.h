/* Appends chunks to a profile (proto/FORMAT.md): each flush is one protobuf message whose ids go on
 * where those before ended. Writer only; no memory but its own arena's. */
#ifndef HPP_PROFILER_PPROF_APPEND_H
#define HPP_PROFILER_PPROF_APPEND_H

#include <stdint.h>

#include "profiler/aggregate.h"

#define HPP_PATH_MAX     4096
#define HPP_COMMENTS_MAX 4096u

struct hpp_pprof_file {
    int fd;                /* -1 until it is opened */
    const char *folder;    /* made before opening, if not NULL */
    int locked;            /* whoever has it open holds a lock (flock) on it */
    uint64_t size;         /* bytes of whole chunks */
    uint64_t max;          /* beyond it the file is aggregated anew (pprof_file.h); 0: never */
    uint64_t limit;        /* max, or more where less cannot hold it */
    uint64_t refused;      /* size of the last chunk that would have exceeded it */
    uint64_t not_before;   /* of no use before the file is as large again */
    void (*between)(void); /* called now and then in longer work, or NULL: may add to the aggregate */
    uint64_t period;       /* ns */
    uint64_t started;      /* Unix time, ns */
    uint64_t begun;        /* the same moment on CLOCK_MONOTONIC, which nobody sets back */
    uint64_t samples;      /* weight in whole chunks */
    uint64_t write_errors; /* flushes that failed */
    int last_error;        /* -errno of the last failure, 0 if the last flush worked */
    /* what the file holds already */
    int has_head;
    uint32_t strings;
    uint32_t locations;
    uint32_t segments;
    uint32_t comments;
    uint32_t comment_count; /* comments so far: string indices in comment */
    struct hpp_arena scratch;
    /* what is large comes last: of a process that ends at once its pages are never touched */
    char path[HPP_PATH_MAX]; /* absolute; gets a suffix where a file of that name exists */
    uint32_t comment[HPP_COMMENTS_MAX];
};

/* Adds a comment to be written with the next chunk. Past HPP_COMMENTS_MAX that wait to be written it is left
 * out. */
void hpp_pprof_comment(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate, const char *text);

/* Writes one chunk with all that is new in AGGREGATE, creating the file if need be (mode 0600, never an
 * existing one). Returns 0 and clears the stacks; or -errno: then the file ends with its last whole
 * chunk, and the next call tries again with everything. A file that was removed is made again, and one that
 * would become larger than file->max is aggregated anew. */
int hpp_pprof_append(struct hpp_pprof_file *file, struct hpp_aggregate *aggregate);

/* Makes the file: file->path, or with .1, .2, … behind it, the first that does not exist. The next chunk does
 * so where it is not open yet. Returns 0 or -errno. */
int hpp_pprof_open(struct hpp_pprof_file *file);

/* Opens the file again, if it was open in a writer that has ended. Where that fails, the next chunk begins a
 * new file. */
void hpp_pprof_reopen(struct hpp_pprof_file *file);

/* After the last chunk: closes the file. One that could not take even one is removed again, unless KEEP. */
void hpp_pprof_close(struct hpp_pprof_file *file, int keep);

#endif
