/* Gives the locations of a profile the names of their functions. Offline only. */
#ifndef HPP_SYMBOLIZER_SYMBOLIZE_H
#define HPP_SYMBOLIZER_SYMBOLIZE_H

#include "symbolizer/profile.h"

#define HPP_NAME_ANON    "[anon]"    /* code made at run time */
#define HPP_NAME_UNKNOWN "[unknown]" /* an address that no mapping held */

/* Names every location that has no name yet: the function whose symbol covers it, demangled; outside every
 * symbol IMAGE+0xOFFSET (base name, offset in the file). For an image whose file is missing or has another
 * build-id, TELL is called once with one line; its locations stay without a name, or, if ALL, get
 * IMAGE+0xOFFSET. Sets has_functions where every location of a mapping has a name. Afterwards PROFILE may be
 * written, looked through and merged from, but not merged into. */
void hpp_symbolize(struct hpp_profile *profile, bool all, void (*tell)(const char *line));

/* The base name of PATH. */
const char *hpp_base_name(const char *path);

/* Whether a mapping of this file name stands for a file, or the vdso, whose symbols can be read. */
bool hpp_is_image_name(const char *filename);

#endif
