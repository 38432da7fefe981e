/* What the memory limits of control groups leave. Start-up code and writer. */
#ifndef HPP_PRELOAD_REMAP_CONTROL_GROUP_H
#define HPP_PRELOAD_REMAP_CONTROL_GROUP_H

#include <stdint.h>

#define HPP_CONTROL_GROUPS "/sys/fs/cgroup"

/* NULL if SIZE more bytes fit into the group that GROUPS (the text of /proc/PID/cgroup) names and into all
 * above it, as the file systems below ROOT (HPP_CONTROL_GROUPS) tell; else why not, in a constant text. What
 * cannot be read is no room. IS_FIRST: the group "/" is the machine's, which has no limit, and not that of a
 * namespace. */
const char *hpp_control_group_refused(const char *root, const char *groups, int is_first, uint64_t size);

#endif
