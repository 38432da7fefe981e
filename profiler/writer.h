/* The writer: a process of its own that shares the target's memory and nothing else. It drains the
 * rings, learns of new images, and appends to the profile; it outlives the target to write the rest. */
#ifndef HPP_PROFILER_WRITER_H
#define HPP_PROFILER_WRITER_H

#include <stdatomic.h>
#include <stdint.h>

#include "profiler/aggregate.h"
#include "profiler/pprof_append.h"

/* What the target wants of the writer. */
enum hpp_writer_wish {
    HPP_WRITER_RUN,
    HPP_WRITER_END,       /* write all, say that it is the end, and go */
    HPP_WRITER_HAND_OVER, /* write all and go: another takes over */
};

/* Whether the file is complete, and what the writer does then. */
enum hpp_writer_done {
    HPP_WRITER_WORKS,
    HPP_WRITER_GOES,
    HPP_WRITER_STAYS, /* it builds tables for later runs */
};

/* The process's CPU time as far as it is known, ns. */
struct hpp_books {
    uint64_t total;        /* by its own clock */
    uint64_t total_before; /* what it was in the look before */
    int is_fresh;          /* just read; else it is at least that much */
    uint64_t booked[3];    /* by HPP_LOCATION_…, from _SHORT_LIVED on */
    uint64_t stopped;      /* CPU time while sampling was stopped: not in total */
    uint64_t told_total, told_samples, told_booked[3], told_stopped;
};

#define HPP_IN_VAIN 32u

struct hpp_writer {
    /* set up by start-up code */
    struct hpp_aggregate aggregate;
    struct hpp_arena image_arena;          /* images and segments */
    struct hpp_arena map_arena[2];         /* the present code map, and the one before */
    int map_current;                       /* which of them holds the present one */
    const struct hpp_code_map *map_before; /* NULL if it has been overwritten since */
    uint32_t epoch;                        /* hpp_sampler.epoch when the present map was made */
    int always_write;                      /* even without a sample (a session of hpprof record) */
    uint64_t flush_interval;               /* ns */
    int target;                            /* pid */
    /* what preload/ hears of; may be NULL */
    void (*describe)(int at_end);                       /* at a flush: adds its comments */
    void (*sampled)(uint64_t address, uint64_t weight); /* a sample's innermost address */
    void (*look)(void);                                 /* now and then: time for longer work */

    /* between target and writer */
    _Atomic uint32_t wake;        /* futex: the target wants something */
    _Atomic uint32_t stop;        /* the target ends: write all and go */
    _Atomic uint32_t done;        /* futex: enum hpp_writer_done */
    _Atomic uint32_t flush_asked; /* moves when the target wants all that is there to be written */
    _Atomic uint32_t flush_done;  /* futex: what of it has been */
    _Atomic(const char *) note;   /* a constant text for a comment hpprof.note, or NULL */
    atomic_int is_hidden;         /* it is not the target's child */
    int pid;                      /* the writer's; 0 if there is none */
    uint32_t *main_tid;           /* cleared by the kernel when the main thread exits or execs; or NULL */

    /* the writer's own */
    int has_begun;          /* hpp_writer_begin was called */
    uint64_t used, used_at; /* until then: CPU time of the target when it was looked at last, and when; ns */
    int pidfd;
    int proc_is_ours; /* /proc/PID is the process PID */
    uint64_t last_flush;
    uint64_t entry;     /* of the main program */
    uint64_t last_scan; /* when it was looked for images last, if only at the size of code */
    uint64_t code_size; /* KiB, before the last scan that it gave cause for; UINT64_MAX: not known */
    uint64_t scan_interval;
    uint64_t scans_paid;           /* until when looks for code that was run are paid: see images.c */
    uint64_t in_vain[HPP_IN_VAIN]; /* pages that such a look has not found */
    uint64_t last_sample;
    uint64_t flushes;
    struct hpp_books books;
    const char *told_note;
    uint64_t untold, told_untold; /* weight of samples that were walked for want of a table */
    uint64_t told_refused;
    uint64_t told_dropped, told_stale, told_unsampled, told_labels, told_write_errors, told_lost_weight;

    struct hpp_pprof_file file; /* start-up code's, then the writer's; last, as it is large */
};

extern struct hpp_writer hpp_writer;

/* Starts the writer process. hpp_writer's first part and hpp_sampler are set up. Returns 0, or -errno:
 * then there is none, and hpp_writer_finish writes what the rings hold at exit. The calling thread must
 * be the process's main thread. */
int hpp_writer_start(void);

/* At a normal exit, all timers stopped: has everything written and waits for it, a few seconds at
 * most. Returns 0, or -errno if the profile could not be written (then hpp_writer.file names it), or
 * -ETIMEDOUT. */
int hpp_writer_finish(void);

/* Has all samples so far written, and waits for that. Returns 0, or -errno: of writing; -ESRCH where there is
 * no writer; -ETIMEDOUT. */
int hpp_writer_flush_now(void);

/* Makes the writer nobody's child, for a program that is about to wait for any child of whatever kind
 * (__WALL, as debuggers do) and would wait for the writer as well. One that can be waited for is
 * otherwise better: where it is not, its end leaves a zombie in a container whose first process does
 * not reap. Nothing is lost in between: the rings hold it. */
void hpp_writer_hide(void);

/* The writer process. */
int hpp_writer_run(void *unused);

/* What the writer does before the first sample: finds the images, if start-up has not, and their unwind
 * tables in the cache. */
void hpp_writer_begin(void);

/* The body of the writer process, and of hpp_writer_finish where there is none. Draining returns whether
 * a ring was so full that the next drain should come soon; flushing, with CAUSE (not NULL) for the last
 * time, returns 0 or -errno. */
int hpp_writer_drain(void);
int hpp_writer_flush(const char *cause);

#endif
