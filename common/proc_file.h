/* Reads small files of /proc and /sys. Start-up code, writer and offline. */
#ifndef HPP_COMMON_PROC_FILE_H
#define HPP_COMMON_PROC_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Reads at most SIZE - 1 bytes of the file into TO and terminates them. Returns the bytes, or -errno. */
long hpp_proc_file_read(const char *path, char *to, size_t size);

/* The decimal number that TEXT begins with, after blanks; UINT64_MAX for "max" or no number. */
uint64_t hpp_proc_file_number(const char *text);

/* What follows KEY in TEXT where KEY begins a line, or NULL. */
const char *hpp_proc_file_line(const char *text, const char *key);

#endif
