/* Text without libc: a bounded builder, and a few look-ups. Any context: no allocation, no errno. */
#ifndef HPP_COMMON_TEXT_H
#define HPP_COMMON_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Text of at most SIZE - 1 bytes under construction; always terminated; what does not fit is cut. */
struct hpp_text {
    char *data;
    size_t size;
    size_t used;
};

/* An empty text in the caller's array. */
#define HPP_TEXT(array) ((struct hpp_text){(array), sizeof(array), ((array)[0] = 0, 0)})

void hpp_text_put(struct hpp_text *text, const char *string);
void hpp_text_put_bytes(struct hpp_text *text, const char *bytes, size_t count);
void hpp_text_put_number(struct hpp_text *text, uint64_t number);
void hpp_text_put_hex(struct hpp_text *text, uint64_t number);

/* THOUSANDTHS as a decimal fraction with three digits: 7120 is "7.120". */
void hpp_text_put_thousandths(struct hpp_text *text, uint64_t thousandths);

size_t hpp_text_length(const char *string);
int hpp_text_equal(const char *a, const char *b);

/* The value of a hexadecimal digit (no capitals); -1 for anything else. */
static inline int hpp_text_hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads pairs of such digits at *AT, at most MOST, into BYTES and steps over them. Returns how many. */
unsigned hpp_text_read_hex(const char **at, uint8_t *bytes, unsigned most);

/* What follows PREFIX in STRING, or NULL if STRING does not begin so. */
const char *hpp_text_after(const char *string, const char *prefix);

/* What follows the last '/' of PATH. */
const char *hpp_text_base_name(const char *path);

/* Shell pattern with *, ? and [set], [a-z], [!set]; '*' matches '/' too. Returns whether all of TEXT
 * matches. Time is bounded by the product of the lengths. */
int hpp_text_matches(const char *pattern, const char *text);

/* Whether PATTERN can match anything: each of its sets is closed. */
int hpp_text_is_pattern(const char *pattern);

/* The word for an errno value ("No space left on device"); "error" for one it does not know. */
const char *hpp_text_error(long error);

/* The length of the UTF-8 character at TEXT, or 0 if there is none (RFC 3629). */
unsigned hpp_text_utf8_length(const char *text);

#endif
