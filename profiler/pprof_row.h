/* A sample of a profile that we wrote, read back in a form that may leave something out. Writer only. */
#ifndef HPP_PROFILER_PPROF_ROW_H
#define HPP_PROFILER_PPROF_ROW_H

#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"

#define HPP_ROW_LABELS_MAX 512u

/* Fields of a Sample (profile.proto). */
enum { HPP_ROW_LOCATIONS = 1, HPP_ROW_VALUES = 2, HPP_ROW_LABEL = 3 };

/* What is given up. */
struct hpp_row_form {
    unsigned seconds; /* times are multiples of it; 0: the time the file began */
    int without_tid;
    int without_callers;
    int without_labels;  /* the program's own */
    const char *without; /* the same in words */
};

/* The labels that the agent gives, as strings of the file, and when that began (Unix time, s). */
struct hpp_row_keys {
    uint64_t thread, tid, time, started;
};

struct hpp_row {
    const uint8_t *stack; /* encoded location ids: in the file's bytes, or in cut_stack */
    size_t stack_size;
    uint8_t cut_stack[16];
    uint8_t labels[HPP_ROW_LABELS_MAX]; /* encoded, with their tags */
    size_t labels_size;
    int64_t values[2];
};

/* Reads the Sample message FROM. Returns 0, or -EBADMSG if it is none of ours. */
int hpp_row_read(struct hpp_cursor *from, const struct hpp_row_form *form, const struct hpp_row_keys *keys,
                 struct hpp_row *row);

/* Passes over a field of a message: *NUMBER gets its number (wire type 0), or *BODY its bytes (2). Returns
 * the field's id, or 0 where it is of another kind or torn. */
unsigned hpp_row_next(struct hpp_cursor *cursor, struct hpp_cursor *body, uint64_t *number);

/* Writes VALUE as a varint (10 bytes at most). Returns its size. */
size_t hpp_row_put_varint(uint8_t *to, uint64_t value);

#endif
