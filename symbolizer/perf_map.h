/* Names of moved text in perf's map format: lines `START SIZE name`, hex without 0x. Offline only. */
#ifndef HPP_SYMBOLIZER_PERF_MAP_H
#define HPP_SYMBOLIZER_PERF_MAP_H

#include "symbolizer/profile.h"

#include <stdio.h>

/* Prints a line for every symbol that overlaps a moved range of PROFILE (its hpprof.remap comments), clipped
 * to it, and a line image+0xOFFSET for each gap, so that every moved byte has one name. Calls TELL as
 * hpp_symbolize does. Returns the number of moved ranges. */
size_t hpp_perf_map_print(FILE *out, const struct hpp_profile *profile, void (*tell)(const char *line));

#endif
