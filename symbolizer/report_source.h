/* What the report says of where the samples came from. */
#ifndef HPP_SYMBOLIZER_REPORT_SOURCE_H
#define HPP_SYMBOLIZER_REPORT_SOURCE_H

#include "symbolizer/profile.h"

#include <stdio.h>

/* A line for each kind of source that has limits (hpprof.process, FORMAT.md); for the others only if ALL. */
void hpp_report_print_sources(FILE *out, const struct hpp_profile *profile, bool all);

#endif
