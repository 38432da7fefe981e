/* Where the CPU time went: a profile added up by function, image, thread or process. Offline only. */
#ifndef HPP_SYMBOLIZER_REPORT_H
#define HPP_SYMBOLIZER_REPORT_H

#include "symbolizer/booked.h"

#include <stdio.h>

enum hpp_report_by { HPP_BY_FUNCTION, HPP_BY_IMAGE, HPP_BY_THREAD, HPP_BY_PROCESS };
enum hpp_report_sort { HPP_SORT_FLAT, HPP_SORT_CUM, HPP_SORT_NAME };

struct hpp_amount {
    int64_t ns, samples;
};

struct hpp_report_row {
    const char *name, *image; /* image: the path where most of it ran, "" if none */
    struct hpp_amount flat;   /* at the leaf */
    struct hpp_amount cum;    /* anywhere in the stack, counted once a stack */
};

/* Unfinished stacks whose last known frame is code of one image. */
struct hpp_report_image {
    const char *image; /* its path; "": code without a file */
    struct hpp_amount amount;
};

struct hpp_report {
    struct hpp_report_row *rows; /* names point into the profile, as those below do */
    size_t row_count;
    const char *event; /* NULL: amounts' ns are CPU time; else they are numbers of these events */
    struct hpp_amount total;
    /* Parts of total. A stack may be both unfinished and truncated; all but the unfinished and the rootless
     * reach their thread's root. */
    struct hpp_amount unfinished;               /* the callers of the last known frame are not known */
    struct hpp_amount truncated;                /* frames were left out: */
    struct hpp_amount middle;                   /* some before the rootmost frames, */
    struct hpp_amount rootless;                 /* or all up to the root */
    struct hpp_report_image *unfinished_images; /* largest first; they add up to unfinished */
    size_t unfinished_image_count;
    struct hpp_amount booked[HPP_BOOKED_KINDS]; /* of total: CPU time without samples */
};

/* Adds PROFILE up; its locations must have names (hpp_symbolize). Equal figures are ordered as go tool pprof
 * does: by flat then name, or by cum then name. Adds strings to PROFILE, which must outlive REPORT. Returns
 * 0, or -EINVAL when the profile holds neither cpu/nanoseconds nor events that hpprof sampled. */
int hpp_report_make(struct hpp_report *report, struct hpp_profile *profile, enum hpp_report_by by,
                    enum hpp_report_sort sort);
void hpp_report_free(struct hpp_report *report);

struct hpp_report_style {
    const char *path; /* of the profile, for the header */
    const char *what; /* head of the name column */
    size_t rows;      /* at most; 0: all */
    int columns;      /* cut names so that lines fit; 0: do not */
    bool color;
    bool show_image; /* after the name */
    bool base_names; /* names are paths */
};

/* Prints header, rows and footer for people. */
void hpp_report_print_text(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                           const struct hpp_report_style *style);

/* Prints what a running process's profile, read from PATH, tells of the profiling itself: the source of the
 * samples and its limits, how much of the CPU time has samples, what was lost, text on huge pages, notes. */
void hpp_report_print_status(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                             const char *path);

/* Prints one JSON object and a newline. Its keys, which stay as they are:
 *   profile, program ("" if several), processes, ended_processes, frequency_hz, duration_ns, by, sort
 *   event: null, or what was sampled in the place of CPU time: all keys in ns are then numbers of these
 * events total_samples, total_ns unfinished_samples, unfinished_ns, truncated_samples, truncated_ns
 *   rootless_samples, rootless_ns: of truncated, those without their root; the share of stacks that reach
 *     their thread's root is what unfinished and rootless leave of total
 *   unfinished_by_image [{image, ns, samples, reason}]: by the image of the last known frame, largest first;
 *     image is "" for code without a file; reason is a text for people
 *   by_fp_samples: walked by frame pointer because an unwind table was not built yet
 *   torn_bytes
 *   lost {dropped, stale, threads, not_libunwind, write_errors, lost_weight}
 *   cpu {total_ns, sampled_ns, short_lived_ns, blocked_ns, unsampled_ns}: total_ns is what the processes used
 * by their own clocks, 0 where that was not told; the others are parts of the profile's total_ns remap
 * [{image, backend, ranges, asked_kib, huge_kib, ms, left_kib, huge_samples, reason, error (of the
 * system call whose failure the reason is, or ""), moved [{start, end
 * (texts, hexadecimal), backend, when, asked_kib, huge_kib, ms, samples (in it since it was moved),
 * unloaded}]}] row_count (before `rows` was cut), rows [{name, image, flat_ns, cum_ns, flat_samples,
 * cum_samples}] */
void hpp_report_print_json(FILE *out, const struct hpp_report *report, const struct hpp_profile *profile,
                           const char *path, const char *by, const char *sort, size_t rows);

#endif
