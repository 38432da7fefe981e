/* The profile that a running process is writing, found by its writer. Offline only. */
#ifndef HPP_SYMBOLIZER_RUNNING_H
#define HPP_SYMBOLIZER_RUNNING_H

#include <limits.h>
#include <sys/types.h>

enum { HPP_RUNNING_WHY = 512 };

/* The process id that TEXT is, or 0. */
pid_t hpp_running_pid(const char *text);

/* Writes to PATH the profile of process PID, "" while it has no samples and so no file. Returns 0, or -1 and
 * in WHY the line that says why there is none. */
int hpp_running_profile(pid_t pid, char path[PATH_MAX], char why[HPP_RUNNING_WHY]);

#endif
