/* Whether there is memory for what the remap wants. Start-up code and writer. What the writer touches is
 * charged to the control group of whom the memory belongs to, the target; what it reserves, to its own: they
 * differ where the target was put elsewhere while it ran. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/maps.h"
#include "common/sys.h"
#include "common/text.h"
#include "common/proc_file.h"
#include "preload/remap/control_group.h"
#include "preload/remap/huge_pages.h"
#include "preload/remap/move.h"
#include "profiler/writer.h"
#include "profiler/signal_safe.h"

#define MAPPINGS_USUAL  65530u      /* DEFAULT_MAX_MAP_COUNT of the kernel's mm.h */
#define FIRST_NAMESPACE 0xeffffffbu /* PROC_CGROUP_INIT_INO of the kernel's proc_ns.h */

/* Whether we see the groups of the whole machine: a kernel without such namespaces shows no other. */
static int sees_all_groups(void)
{
    struct stat status;
    long error = HPP_SYSCALL(newfstatat, AT_FDCWD, "/proc/self/ns/cgroup", &status, 0, 0, 0);

    return error ? error == -ENOENT : status.st_ino == FIRST_NAMESPACE;
}

/* NULL if SIZE more bytes fit into the groups of process PID, 0 being this one, else why not. */
static const char *groups_refused(int pid, uint64_t size)
{
    char path[64], text[4096];
    struct hpp_text name = HPP_TEXT(path);
    long count;

    hpp_text_put(&name, "/proc/");
    if (pid)
        hpp_text_put_number(&name, (uint64_t)pid);
    else
        hpp_text_put(&name, "self");
    hpp_text_put(&name, "/cgroup");
    count = hpp_proc_file_read(path, text, sizeof text);
    if (count == -ENOENT)
        return NULL; /* a kernel without control groups */
    if (count < 0)
        return "the control groups cannot be read";
    return hpp_control_group_refused(HPP_CONTROL_GROUPS, text, sees_all_groups(), size);
}

const char *hpp_memory_headroom_refused(uint64_t size)
{
    char text[4096];
    const char *line = NULL, *reason;
    uint64_t available = UINT64_MAX;

    if (hpp_proc_file_read("/proc/meminfo", text, sizeof text) > 0)
        line = hpp_proc_file_line(text, "MemAvailable:");
    if (line)
        available = hpp_proc_file_number(line);
    if (available == UINT64_MAX)
        return "how much memory is free cannot be read";
    if (available / 2 < size >> 10)
        return "too little memory is free on this machine";
    reason = groups_refused(0, size);
    if (!reason && hpp_writer.proc_is_ours)
        reason = groups_refused(hpp_writer.target, size);
    return reason;
}

/* What is left below the target's limit on RESOURCE, of which statm(proc_pid_statm(5)) tells in field FIELD,
 * in pages. */
static uint64_t left_below(int resource, unsigned field)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    char text[256];
    const char *at = text;
    uint64_t now;

    if (HPP_SYSCALL(prlimit64, hpp_writer.target, resource, NULL, &limit, 0, 0)) /* it has changed its user */
        HPP_SYSCALL(prlimit64, 0, resource, NULL, &limit, 0, 0);
    if (limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    if (hpp_proc_file_read("/proc/self/statm", text, sizeof text) <= 0)
        return 0;
    for (; *at && field; at++)
        field -= *at == ' ';
    now = hpp_proc_file_number(at) * 4096;
    return now < limit.rlim_cur ? limit.rlim_cur - now : 0;
}

/* A sixteenth is the program's: what it maps later shall not fail for us. */
const char *hpp_mappings_refused(void)
{
    struct hpp_maps maps;
    struct hpp_maps_line line;
    char text[32];
    uint64_t most = MAPPINGS_USUAL, count = 0;
    int result;

    if (hpp_proc_file_read("/proc/sys/vm/max_map_count", text, sizeof text) > 0)
        most = hpp_proc_file_number(text);
    if (hpp_maps_open(&maps))
        return HPP_REMAP_NO_MAPS;
    while ((result = hpp_maps_next(&maps, &line)) > 0)
        count++;
    hpp_maps_close(&maps);
    if (result < 0)
        return HPP_REMAP_NO_MAPS;
    return count > most - most / 16 ? "the program has nearly as many mappings as vm.max_map_count allows"
                                    : NULL;
}

const char *hpp_address_space_refused(uint64_t size)
{
    if (left_below(RLIMIT_AS, 0) / 8 < size || left_below(RLIMIT_DATA, 5) / 8 < size)
        return "the program's limit on its memory (ulimit -v or -d) leaves too little room";
    return NULL;
}
