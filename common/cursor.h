/* A bounded cursor over bytes that are not trusted: reading behind the end gives zeros and sets `bad`, which
 * stays, so that it need be tested only once. Little-endian, as the files are. Any context. */
#ifndef HPP_COMMON_CURSOR_H
#define HPP_COMMON_CURSOR_H

#include <stddef.h>
#include <stdint.h>

struct hpp_cursor {
    const uint8_t *at;
    const uint8_t *end;
    int bad;
};

static inline size_t hpp_cursor_left(const struct hpp_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* Passes over SIZE bytes. Returns where they begin, or NULL. */
static inline const uint8_t *hpp_cursor_skip(struct hpp_cursor *cursor, uint64_t size)
{
    const uint8_t *bytes = cursor->at;

    if (size > hpp_cursor_left(cursor)) {
        cursor->at = cursor->end;
        cursor->bad = 1;
        return NULL;
    }
    cursor->at += size;
    return bytes;
}

#define HPP_CURSOR_READ(name, type)                                   \
    static inline type name(struct hpp_cursor *cursor)                \
    {                                                                 \
        const uint8_t *bytes = hpp_cursor_skip(cursor, sizeof(type)); \
        type value = 0;                                               \
                                                                      \
        if (bytes)                                                    \
            __builtin_memcpy(&value, bytes, sizeof value);            \
        return value;                                                 \
    }

HPP_CURSOR_READ(hpp_cursor_u8, uint8_t)
HPP_CURSOR_READ(hpp_cursor_u16, uint16_t)
HPP_CURSOR_READ(hpp_cursor_u32, uint32_t)
HPP_CURSOR_READ(hpp_cursor_u64, uint64_t)
#undef HPP_CURSOR_READ

/* LEB128 (DWARF 5, 7.6). A number of more than 64 bits is bad. */
static inline uint64_t hpp_cursor_leb(struct hpp_cursor *cursor, int is_signed)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        byte = hpp_cursor_u8(cursor);
        if (shift < 64) {
            value |= (uint64_t)(byte & 0x7f) << shift;
            if (shift == 63 && (byte & 0x7f) > 1 && !(is_signed && (byte & 0x7f) == 0x7f))
                cursor->bad = 1;
        } else {
            cursor->bad = 1;
        }
        shift += 7;
    } while (byte & 0x80 && !cursor->bad);
    if (is_signed && shift < 64 && byte & 0x40)
        value |= ~(uint64_t)0 << shift;
    return value;
}

static inline uint64_t hpp_cursor_uleb(struct hpp_cursor *cursor)
{
    return hpp_cursor_leb(cursor, 0);
}

static inline int64_t hpp_cursor_sleb(struct hpp_cursor *cursor)
{
    return (int64_t)hpp_cursor_leb(cursor, 1);
}

#endif
