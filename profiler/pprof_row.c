/* Samples of a profile read back. Writer. */
#include "profiler/pprof_row.h"

#include <errno.h>

#include "profiler/aggregate.h"
#include "profiler/signal_safe.h"

enum { LABEL_KEY = 1, LABEL_STR, LABEL_NUM, LABEL_UNIT };

/* ---- encoding --------------------------------------------------------------------------------------- */

size_t hpp_row_put_varint(uint8_t *to, uint64_t value)
{
    size_t size = 0;

    for (; value >= 0x80; value >>= 7)
        to[size++] = (uint8_t)(value | 0x80);
    to[size++] = (uint8_t)value;
    return size;
}

/* Adds one label to the row. Returns 0 or -EBADMSG. */
static int put_label(struct hpp_row *row, const uint64_t fields[LABEL_UNIT + 1])
{
    uint8_t body[4 * 11];
    size_t size = 0;

    for (unsigned i = LABEL_KEY; i <= LABEL_UNIT; i++)
        if (fields[i]) {
            body[size++] = (uint8_t)(i << 3);
            size += hpp_row_put_varint(body + size, fields[i]);
        }
    if (row->labels_size + size + 2 > HPP_ROW_LABELS_MAX)
        return -EBADMSG;
    row->labels[row->labels_size++] = HPP_ROW_LABEL << 3 | 2;
    row->labels[row->labels_size++] = (uint8_t)size;
    for (size_t i = 0; i < size; i++)
        row->labels[row->labels_size++] = body[i];
    return 0;
}

/* ---- reading a sample ------------------------------------------------------------------------------- */

/* Passes over a tag and, for wire type 2, a length. Returns the field's number; 0 where it is of no such
 * kind. */
unsigned hpp_row_next(struct hpp_cursor *cursor, struct hpp_cursor *body, uint64_t *number)
{
    uint64_t tag = hpp_cursor_uleb(cursor);

    *number = hpp_cursor_uleb(cursor);
    *body = (struct hpp_cursor){cursor->at, cursor->at, 0};
    if ((tag & 7) == 2) {
        const uint8_t *bytes = hpp_cursor_skip(cursor, *number);
        *body = (struct hpp_cursor){bytes, cursor->at, 0};
    }
    return cursor->bad || ((tag & 7) != 0 && (tag & 7) != 2) ? 0 : (unsigned)(tag >> 3);
}

static int read_label(struct hpp_cursor *from, const struct hpp_row_form *form,
                      const struct hpp_row_keys *keys, struct hpp_row *row)
{
    uint64_t fields[LABEL_UNIT + 1] = {0};

    while (from->at < from->end) {
        struct hpp_cursor none;
        uint64_t number;
        unsigned field = hpp_row_next(from, &none, &number);
        if (field < LABEL_KEY || field > LABEL_UNIT)
            return -EBADMSG;
        fields[field] = number;
    }
    if (fields[LABEL_KEY] == keys->tid && form->without_tid)
        return 0;
    if (fields[LABEL_KEY] != keys->thread && fields[LABEL_KEY] != keys->time && form->without_labels)
        return 0;
    if (fields[LABEL_KEY] == keys->time)
        fields[LABEL_NUM] =
            form->seconds ? fields[LABEL_NUM] - fields[LABEL_NUM] % form->seconds : keys->started;
    return put_label(row, fields);
}

/* The leaf, and that the rest was left out. */
static void cut_stack(struct hpp_row *row)
{
    struct hpp_cursor ids = {row->stack, row->stack + row->stack_size, 0};
    uint64_t leaf = hpp_cursor_uleb(&ids);

    if (ids.bad || ids.at == ids.end)
        return;
    row->stack = row->cut_stack;
    row->stack_size = hpp_row_put_varint(row->cut_stack, leaf);
    row->cut_stack[row->stack_size++] = HPP_LOCATION_TRUNCATED;
}

int hpp_row_read(struct hpp_cursor *from, const struct hpp_row_form *form, const struct hpp_row_keys *keys,
                 struct hpp_row *row)
{
    *row = (struct hpp_row){0};
    while (from->at < from->end) {
        struct hpp_cursor body;
        uint64_t number;
        switch (hpp_row_next(from, &body, &number)) {
        case HPP_ROW_LOCATIONS:
            row->stack = body.at;
            row->stack_size = hpp_cursor_left(&body);
            break;
        case HPP_ROW_VALUES:
            row->values[0] = (int64_t)hpp_cursor_uleb(&body);
            row->values[1] = (int64_t)hpp_cursor_uleb(&body);
            if (body.bad || body.at != body.end)
                return -EBADMSG;
            break;
        case HPP_ROW_LABEL:
            if (read_label(&body, form, keys, row))
                return -EBADMSG;
            break;
        default:
            return -EBADMSG;
        }
    }
    if (form->without_callers)
        cut_stack(row);
    return 0;
}
