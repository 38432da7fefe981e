/* What a profile's comments say about the run: processes, what was lost, text on huge pages. Offline only. */
#ifndef HPP_SYMBOLIZER_SUMMARY_H
#define HPP_SYMBOLIZER_SUMMARY_H

#include "symbolizer/profile.h"

#include <stdio.h>

/* One moved range. */
struct hpp_summary_range {
    uint64_t start, end, asked_kib, huge_kib, samples;
    double ms;
    char backend[32];
    bool hot, unloaded;
};

/* Text of one image, added up over the processes of the profile. */
struct hpp_summary_image {
    char path[4096], backend[32], reason[256]; /* reason: why the rest was left; "" if nothing was */
    char error[64];                            /* which error a call gave, where that is it; or "" */
    char not_locked[128]; /* why not all of it is pinned; "" if it is, or was not to be */
    uint64_t asked_kib, huge_kib, left_kib;
    uint64_t absorbed_kib, data_kib; /* beside its text; and of that what is data, executable now */
    uint64_t locked_kib;             /* pinned in memory */
    uint64_t put_back_kib;           /* on small pages again */
    char put_back_reason[64];        /* and why */
    uint64_t on_huge;                /* samples whose innermost address lay on its huge pages */
    double ms;
    struct hpp_summary_range *range;
    size_t ranges, range_room;
};

struct hpp_summary {
    size_t processes, ends; /* processes in the profile, and how many of them came to their end */
    uint64_t frequency;     /* of the first process; 0: not known */
    uint64_t dropped, stale, threads, labels, write_errors, lost_weight;
    uint64_t cpu_ns;        /* that the processes used, by their own clocks; 0: not known */
    uint64_t stopped_ns;    /* that they used besides, while sampling was stopped */
    size_t by_fp_processes; /* walked by frame pointers only, as was asked for */
    char not_kept[64];      /* why the tables that were built are not in the cache; "" if they are */
    uint64_t by_fp;         /* samples walked by frame pointer because an unwind table was not built yet */
    uint64_t not_libunwind; /* walks that libunwind was to make, and did not */
    uint64_t eligible_kib, huge_kib, on_huge;
    uint64_t data_kib, huge_data_kib, later_data_kib; /* of data: eligible, huge, huge when it is touched */
    char data_reason[256];                            /* why the rest of it is not; "" if there is none */
    char data_error[64];                              /* which error a call gave, where that is it; or "" */
    struct hpp_summary_image *images;
    size_t image_count, image_room;
};

void hpp_summary_make(struct hpp_summary *summary, const struct hpp_profile *profile);
void hpp_summary_free(struct hpp_summary *summary);

/* Prints what was lost: one line, or nothing if nothing was. Returns whether anything was. */
bool hpp_summary_print_lost(FILE *out, const struct hpp_summary *summary);

/* Prints which of SAMPLES were walked by frame pointer for want of an unwind table: one line, or nothing if
 * that is at most 1 %. */
void hpp_summary_print_by_fp(FILE *out, const struct hpp_summary *summary, int64_t samples);

/* Prints what the agents could not do, as they say it: a line a note, up to a few. */
void hpp_summary_print_notes(FILE *out, const struct hpp_profile *profile);

/* Prints the text on huge pages, and which share of all SAMPLES lay there: a line of totals, then a line an
 * image; nothing if none was eligible. */
void hpp_summary_print_remap(FILE *out, const struct hpp_summary *summary, int64_t samples);

#endif
