/* The profile model: a pprof profile in memory, whole and valid, with equal things kept once. Read, merge,
 * look through, write. proto/FORMAT.md says what an hpprof profile holds. Offline only.
 *
 * Everything is known by its index: strings, mappings, functions, locations, stacks, label sets, samples.
 * String 0 is "". The indices are those of this model, not the ids of a file. */
#ifndef HPP_SYMBOLIZER_PROFILE_H
#define HPP_SYMBOLIZER_PROFILE_H

#include "symbolizer/intern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HPP_NONE UINT32_MAX /* no such index: a location without mapping */

#define HPP_NAME_UNFINISHED "[unfinished]" /* root of a stack whose callers are unknown */
#define HPP_NAME_TRUNCATED  "[truncated]"  /* where frames of a deep stack were left out */

enum { HPP_ERROR_SIZE = 5120, HPP_VALUE_MAX = 16 };

struct hpp_value_type {
    uint32_t type, unit; /* strings */
};

struct hpp_mapping {
    uint64_t start, limit, file_offset;
    uint32_t filename, build_id; /* strings */
    bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct hpp_function {
    uint32_t name, system_name, filename; /* strings */
    int64_t start_line;
};

struct hpp_line {
    uint32_t function;
    int64_t line, column;
};

struct hpp_location {
    uint64_t address;
    uint32_t mapping;    /* or HPP_NONE */
    uint32_t first_line; /* in lines[]; the first is the innermost inline */
    uint32_t line_count;
    bool folded;
};

struct hpp_label {
    uint32_t key, str; /* strings; str 0: the number counts */
    int64_t num;
    uint32_t num_unit; /* string */
};

struct hpp_sample {
    uint32_t stack;  /* in stacks: uint32_t location indices, leaf first */
    uint32_t labels; /* in labels: struct hpp_label's */
};

struct hpp_profile {
    struct hpp_value_type *value_types;
    size_t value_count; /* values a sample has: 1 to HPP_VALUE_MAX */

    struct hpp_mapping *mappings;
    size_t mapping_count, mapping_room;
    struct hpp_function *functions;
    size_t function_count, function_room;
    struct hpp_location *locations;
    size_t location_count, location_room;
    struct hpp_line *lines;
    size_t line_count, line_room;
    struct hpp_sample *samples; /* each (stack, label set) once */
    size_t sample_count, sample_room;
    int64_t *values; /* value_count for each sample */
    size_t value_room;
    uint32_t *comments; /* strings, in order */
    size_t comment_count, comment_room;

    struct hpp_value_type period_type;
    int64_t period, time_nanos, duration_nanos;
    uint32_t drop_frames, keep_frames, default_sample_type, doc_url; /* strings */

    uint64_t torn_bytes; /* bytes of a torn last chunk that were left out; 0: the file was whole */

    struct hpp_intern strings, stacks, labels; /* use the functions below */
    struct hpp_intern mapping_keys, function_keys, location_keys, sample_keys,
        comment_keys; /* profile.c's own */
};

/* ---- read, write, merge ---------------------------------------------------------------------------- */

/* Reads the pprof file PATH ("-": standard input), gzip'd or not, in one chunk or many. A torn last chunk is
 * left out and counted in torn_bytes. The file is not trusted: ids, indices and counts are checked.
 * Returns 0 and *PROFILE (hpp_profile_free it), or -errno and one line in ERROR that names PATH:
 * -ENODATA empty file, -EILSEQ torn in its first chunk, -EBADMSG not a profile, else of open and read. */
int hpp_profile_read(const char *path, struct hpp_profile **profile, char error[HPP_ERROR_SIZE]);

/* The same from SIZE bytes in memory, not gzip'd; NAME is for ERROR. */
int hpp_profile_parse(const void *bytes, size_t size, const char *name, struct hpp_profile **profile,
                      char error[HPP_ERROR_SIZE]);

/* Writes PROFILE to PATH ("-": standard output) as pprof, gzip'd if PATH ends in ".gz": into a new file
 * beside it (mode 0600) that then takes its place. Returns 0, or -errno and one line in ERROR. */
int hpp_profile_write(const struct hpp_profile *profile, const char *path, char error[HPP_ERROR_SIZE]);

/* An empty profile, to merge into. It has no value types until something is merged. */
struct hpp_profile *hpp_profile_new(void);
void hpp_profile_free(struct hpp_profile *profile); /* NULL is allowed */

/* Adds FROM to INTO; FROM stays as it is. The first profile merged into an empty one gives the value types
 * and mapping[0]. Images are one mapping when build-id (without one: path), file offset and size are equal,
 * wherever they were loaded: their locations move along. Memory without a file (//anon) is one mapping only
 * within one process. Comments: equal ones once, but for those that count or stand for a process
 * (hpprof.process, .remap, .lost, .unwind, .cpu, .end). With LABEL, samples of a profile of one process that
 * have no `process` or `pid` label get them from its hpprof.process comment. The time covered is the union of
 * both. Do not merge into a profile that hpp_symbolize has changed. Returns 0, or -EINVAL when the value
 * types differ. */
int hpp_profile_merge(struct hpp_profile *into, const struct hpp_profile *from, bool label);

/* ---- look through ---------------------------------------------------------------------------------- */

const char *hpp_profile_string(const struct hpp_profile *profile, uint32_t string);

/* The stack of SAMPLE, leaf first; valid until a stack is added. */
const uint32_t *hpp_profile_stack(const struct hpp_profile *profile, size_t sample, size_t *depth);

/* The labels of SAMPLE; valid until a label set is added. */
const struct hpp_label *hpp_profile_labels(const struct hpp_profile *profile, size_t sample, size_t *count);

/* The column of the value TYPE in UNIT ("samples", "count"; "cpu", "nanoseconds"), or -1. */
int hpp_profile_value_index(const struct hpp_profile *profile, const char *type, const char *unit);

/* The column of what was sampled: cpu/nanoseconds (*EVENT NULL), or the count of the events that hpprof
 * sampled instead (*EVENT their name, which points into PROFILE). -1 if there is neither. */
int hpp_profile_sampled_index(const struct hpp_profile *profile, const char **event);

/* A + B, held at the ends of the range: a hostile file may hold any value. */
int64_t hpp_clamped_sum(int64_t a, int64_t b);

/* ---- build (equal things get the same index) ------------------------------------------------------- */

uint32_t hpp_profile_add_string(struct hpp_profile *profile, const char *text);
uint32_t hpp_profile_add_bytes(struct hpp_profile *profile, const void *bytes, size_t size); /* a string */
uint32_t hpp_profile_add_mapping(struct hpp_profile *profile,
                                 const struct hpp_mapping *mapping); /* always new */
uint32_t hpp_profile_add_function(struct hpp_profile *profile, const struct hpp_function *function);
/* LOCATION without first_line; its LINE_COUNT lines are at LINES. */
uint32_t hpp_profile_add_location(struct hpp_profile *profile, const struct hpp_location *location,
                                  const struct hpp_line *lines);
/* Appends lines, for a location to have them as its own; the index of the first. */
uint32_t hpp_profile_add_lines(struct hpp_profile *profile, const struct hpp_line *lines, size_t count);
/* Adds value_count VALUES to the sample of this stack and these labels. */
void hpp_profile_add_sample(struct hpp_profile *profile, const uint32_t *stack, size_t depth,
                            const struct hpp_label *labels, size_t label_count, const int64_t *values);
void hpp_profile_add_comment(struct hpp_profile *profile, const char *text);

/* ---- comments (FORMAT.md, "Comments") -------------------------------------------------------------- */

/* The text of comment INDEX. */
const char *hpp_profile_comment(const struct hpp_profile *profile, size_t index);

/* Whether PROFILE has a comment with this very text. */
bool hpp_profile_has_comment(const struct hpp_profile *profile, const char *text);

/* Whether COMMENT is of kind WORD ("hpprof.remap"). */
bool hpp_comment_is(const char *comment, const char *word);

/* The value of KEY in COMMENT, quotes taken off, into OUT (cut to SIZE). Returns whether it is there. */
bool hpp_comment_text(const char *comment, const char *key, char *out, size_t size);

/* The value of KEY as an unsigned number, decimal or 0x; 0 when it is missing or no number. */
uint64_t hpp_comment_number(const char *comment, const char *key);

/* KEY of all comments of kind WORD, added up: hpp_profile_sum(p, "hpprof.lost", "dropped"). */
uint64_t hpp_profile_sum(const struct hpp_profile *profile, const char *word, const char *key);

/* How many comments of kind WORD there are. */
size_t hpp_profile_count(const struct hpp_profile *profile, const char *word);

/* The pid of the only process in PROFILE and the base name of its program; false when there is none or
 * more. */
bool hpp_profile_process(const struct hpp_profile *profile, int64_t *pid, char *program, size_t size);

#endif
