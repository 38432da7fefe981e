/* Whether there is memory for what the remap wants. Start-up code. Control groups: the kernel's
 * Documentation/admin-guide/cgroup-v2.rst (memory.max, memory.current) and cgroup-v1/memory.rst. */
#include "common/text.h"
#include "preload/huge_pages.h"
#include "preload/proc_file.h"

#define PATH 1024

/* The number in file NAME of the group PATH below ROOT, UINT64_MAX if there is none. */
static uint64_t group_number(const char *root, const char *group, const char *name)
{
    char path[PATH], text[64];
    struct hpp_text full = HPP_TEXT(path);

    hpp_text_put(&full, root);
    hpp_text_put(&full, group);
    hpp_text_put(&full, "/");
    hpp_text_put(&full, name);
    if (hpp_proc_file_read(path, text, sizeof text) <= 0)
        return UINT64_MAX;
    return hpp_proc_file_number(text);
}

/* Whether SIZE more bytes fit into the group and all above it. Half of what is left stays free: others
 * of the group need it too. */
static int fits_groups(const char *root, char *group, const char *limit, const char *usage, uint64_t size)
{
    for (;;) {
        uint64_t most = group_number(root, group, limit);
        uint64_t now = group_number(root, group, usage);
        char *slash = NULL;

        if (most != UINT64_MAX && now != UINT64_MAX && (now >= most || (most - now) / 2 < size))
            return 0;
        for (char *at = group; *at; at++)
            if (*at == '/')
                slash = at;
        if (!slash)
            return 1;
        *slash = 0;
    }
}

/* Copies a group's path (to the end of the line) without a trailing slash. */
static void copy_group(char *to, const char *line)
{
    unsigned used = 0;

    while (*line && *line != '\n' && used < PATH - 1)
        to[used++] = *line++;
    while (used && to[used - 1] == '/')
        used--;
    to[used] = 0;
}

/* What follows the list of controllers in the line of /proc/self/cgroup that names CONTROLLER. */
static const char *find_group(const char *groups, const char *controller)
{
    for (const char *at = groups; *at; at++) {
        const char *after = hpp_text_after(at, controller);
        if (after && at != groups && (at[-1] == ':' || at[-1] == ',')) {
            while (*after && *after != ':' && *after != '\n')
                after++;
            if (*after == ':')
                return after + 1;
        }
    }
    return NULL;
}

const char *hpp_memory_headroom_refused(uint64_t size)
{
    char text[4096], group[PATH];
    const char *line;

    if (hpp_proc_file_read("/proc/meminfo", text, sizeof text) > 0 &&
        (line = hpp_proc_file_line(text, "MemAvailable:"))) {
        uint64_t available = hpp_proc_file_number(line);
        if (available != UINT64_MAX && available / 2 < size >> 10)
            return "too little memory is free on this machine";
    }
    if (hpp_proc_file_read("/proc/self/cgroup", text, sizeof text) <= 0)
        return NULL;
    line = find_group(text, "memory");
    if (line) {
        copy_group(group, line);
        if (!fits_groups("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", "memory.usage_in_bytes",
                         size))
            return "the memory limit of the control group leaves too little room";
    }
    line = hpp_proc_file_line(text, "0::");
    if (line) {
        copy_group(group, line);
        if (!fits_groups("/sys/fs/cgroup", group, "memory.max", "memory.current", size))
            return "the memory limit of the control group leaves too little room";
    }
    return NULL;
}
