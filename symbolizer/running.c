/* See running.h. The writer is a child of its process, called hpprof-writer, which has the profile open and
 * no other file (docs/ARCHITECTURE.md). */
#include "symbolizer/running.h"
#include "symbolizer/process_proc.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PID_LIMIT = 1 << 22 /* kernel, include/linux/threads.h */ };

pid_t hpp_running_pid(const char *text)
{
    char *end;
    long pid = strtol(text, &end, 10);

    return end == text || *end || pid <= 0 || pid > PID_LIMIT ? 0 : (pid_t)pid;
}

static bool is_writer_of(pid_t pid, pid_t other)
{
    struct hpp_thread_status status;

    return hpp_process_field(other, other, "PPid") == pid && !hpp_process_status(other, other, &status) &&
           !strcmp(status.name, "hpprof-writer");
}

/* The process id, or 0. */
static pid_t find_writer(pid_t pid)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;

    while (folder && !found && (entry = readdir(folder))) {
        pid_t other = (pid_t)atol(entry->d_name);
        if (other > 0 && is_writer_of(pid, other))
            found = other;
    }
    if (folder)
        closedir(folder);
    return found;
}

/* The profile among WRITER's descriptors. Returns 0 or -errno. */
static int find_profile(pid_t writer, char path[PATH_MAX])
{
    char name[64], target[PATH_MAX];
    struct dirent *entry;
    DIR *folder;

    path[0] = '\0';
    snprintf(name, sizeof name, "/proc/%d/fd", writer);
    folder = opendir(name);
    if (!folder)
        return -errno;
    while ((entry = readdir(folder))) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        if (length <= 0 || *target != '/')
            continue;
        target[length] = '\0';
        memcpy(path, target, (size_t)length + 1);
    }
    closedir(folder);
    return 0;
}

int hpp_running_profile(pid_t pid, char path[PATH_MAX], char why[HPP_RUNNING_WHY])
{
    long group = hpp_process_field(pid, pid, "Tgid");
    pid_t writer = find_writer(pid);
    int error;

    if (group < 0)
        snprintf(why, HPP_RUNNING_WHY, "there is no process %d", pid);
    else if (group != pid)
        snprintf(why, HPP_RUNNING_WHY, "%d is a thread of process %ld: hpprof status %ld", pid, group, group);
    else if (!writer)
        snprintf(
            why, HPP_RUNNING_WHY,
            "process %d has no hpprof-writer: it is not profiled, or could have none and writes at its end",
            pid);
    else if ((error = find_profile(writer, path)))
        snprintf(why, HPP_RUNNING_WHY,
                 "may not look into the writer of process %d: %s: run as its user, or root", pid,
                 strerror(-error));
    else
        return 0;
    return -1;
}
