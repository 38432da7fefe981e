/* The former profile that --remap-hot names, before a run of hpprof record. Offline only. */
#ifndef HPP_CLI_FORMER_H
#define HPP_CLI_FORMER_H

#include <limits.h>

/* Checks the profile PATH. USE gets the path that agents can read it by: its own, or, where it is compressed,
 * that of a copy in the open session's FOLDER. Returns 0, or -1 after one line on stderr. */
int hpp_former_prepare(const char *path, const char *folder, char use[PATH_MAX]);

#endif
