/* Writing text from a profile, which may hold anything, where it could do harm. Offline only. */
#ifndef HPP_SYMBOLIZER_ESCAPE_H
#define HPP_SYMBOLIZER_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

/* The bytes of the UTF-8 character at TEXT, or 0 when it is none (RFC 3629, section 4). */
size_t hpp_escape_utf8(const char *text);

/* TEXT for a terminal: `?` for control characters and for bytes that are not UTF-8; cut to COLUMNS with an
 * ellipsis (0: not cut). Returns the columns used. */
size_t hpp_escape_plain(FILE *out, const char *text, size_t columns);

/* TEXT as a JSON string, with its quotes. */
void hpp_escape_json(FILE *out, const char *text);

/* TEXT for XML content and attributes. */
void hpp_escape_xml(FILE *out, const char *text);

#endif
