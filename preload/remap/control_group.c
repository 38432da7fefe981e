/* The memory limits of control groups. Start-up code and writer. The kernel's
 * Documentation/admin-guide/cgroup-v2.rst (memory.max, memory.current) and cgroup-v1/memory.rst; proc(5) and
 * cgroup_namespaces(7) on /proc/PID/cgroup. A container may see of the file system nothing, or only its own
 * part, and then that part's root is what the machine names by a longer path. */
#include "preload/remap/control_group.h"

#include <errno.h>

#include "common/sys.h"
#include "common/text.h"
#include "common/proc_file.h"
#include "profiler/signal_safe.h"

#define PATH       1024
#define UNREADABLE "the memory limit of the control group cannot be read"

/* One of the two kinds of such file systems. */
struct groups {
    const char *root, *below; /* its place: both, one behind the other */
    const char *limit, *usage;
    int may_lack_limit; /* where no limit can be set: in the first group, or without the controller */
};

static void name_file(char path[PATH + 64], const struct groups *groups, const char *group, const char *name)
{
    struct hpp_text full = {path, PATH + 64, 0};

    hpp_text_put(&full, groups->root);
    hpp_text_put(&full, groups->below);
    hpp_text_put(&full, group);
    hpp_text_put(&full, "/");
    hpp_text_put(&full, name);
}

static int is_there(const struct groups *groups, const char *group)
{
    char path[PATH + 64];
    long fd;

    name_file(path, groups, group, "cgroup.procs");
    fd = hpp_sys_open(path, O_PATH, 0);
    if (fd < 0)
        return 0;
    hpp_sys_close((int)fd);
    return 1;
}

/* *NUMBER: UINT64_MAX for "max". Returns 0 or -errno. */
static int read_number(const struct groups *groups, const char *group, const char *name, uint64_t *number)
{
    char path[PATH + 64], text[64];
    long count;

    name_file(path, groups, group, name);
    count = hpp_proc_file_read(path, text, sizeof text);
    if (count <= 0)
        return count ? (int)count : -EIO;
    *number = hpp_proc_file_number(text);
    return *number == UINT64_MAX && !hpp_text_after(text, "max") ? -EINVAL : 0;
}

/* Whether SIZE more bytes fit into this group alone. Half of what is left stays free: others of the group
 * need it too. */
static const char *one_refused(const struct groups *groups, const char *group, int may_lack, uint64_t size)
{
    uint64_t most, now;
    int error = read_number(groups, group, groups->limit, &most);

    if (error)
        return error == -ENOENT && may_lack ? NULL : UNREADABLE;
    if (most == UINT64_MAX)
        return NULL;
    if (read_number(groups, group, groups->usage, &now))
        return UNREADABLE;
    return now >= most || (most - now) / 2 < size
               ? "the memory limit of the control group leaves too little room"
               : NULL;
}

/* GROUP is "" for the first, else begins with a slash, and is changed. */
static const char *refused(const struct groups *groups, char *group, int is_first, uint64_t size)
{
    int is_cut = 0;

    if (hpp_text_after(group, "/.."))
        return UNREADABLE; /* outside of what this namespace has names for */
    if (!*group && is_first && !is_there(groups, group))
        return NULL;
    while (!is_there(groups, group)) {
        if (!*group)
            return UNREADABLE;
        is_cut = 1;
        do
            group++;
        while (*group && *group != '/');
    }
    for (;;) {
        int may_lack = groups->may_lack_limit && (!is_cut || *group);
        const char *reason = one_refused(groups, group, may_lack, size);
        char *slash = NULL;

        if (reason)
            return reason;
        for (char *at = group; *at; at++)
            if (*at == '/')
                slash = at;
        if (!slash)
            return NULL;
        *slash = 0;
    }
}

/* Whether LINE, behind the number that it begins with, lists CONTROLLER. *PATH_AT gets the group's path. */
static int lists(const char *line, const char *controller, const char **path_at)
{
    int found = 0;

    while (*line && *line != '\n' && *line != ':')
        line++;
    while (*line == ':' || *line == ',') {
        const char *after = hpp_text_after(++line, controller);
        found |= after && (*after == ',' || *after == ':');
        while (*line && *line != '\n' && *line != ',' && *line != ':')
            line++;
        if (*line == ':')
            break;
    }
    *path_at = *line == ':' ? line + 1 : "";
    return found;
}

/* The group's path, up to the end of its line, in the line that lists CONTROLLER; NULL if there is none. */
static const char *find_group(const char *text, const char *controller)
{
    while (*text) {
        const char *path;
        if (lists(text, controller, &path))
            return path;
        while (*text && *text++ != '\n')
            ;
    }
    return NULL;
}

/* Copies a group's path without a trailing slash. Returns 0 if it is too long, or has no end. */
static int copy_group(char to[PATH], const char *line)
{
    unsigned used = 0;

    while (*line && *line != '\n' && used < PATH - 1)
        to[used++] = *line++;
    while (used && to[used - 1] == '/')
        used--;
    to[used] = 0;
    return *line == '\n';
}

const char *hpp_control_group_refused(const char *root, const char *text, int is_first, uint64_t size)
{
    struct groups one = {root, "/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", 0};
    struct groups two = {root, "", "memory.max", "memory.current", 1};
    const char *line = find_group(text, "memory");
    char group[PATH];

    /* the controller is in one place: where version 1 has it, version 2 limits no memory */
    if (line)
        return copy_group(group, line) ? refused(&one, group, is_first, size) : UNREADABLE;
    line = hpp_proc_file_line(text, "0::");
    if (!line)
        return NULL;
    if (!copy_group(group, line))
        return UNREADABLE;
    if (!is_there(&two, ""))
        two.below = "/unified";
    return refused(&two, group, is_first, size);
}
