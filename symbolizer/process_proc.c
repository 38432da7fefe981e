/* /proc/PID, and what its refusals mean. Offline only. */
#include "symbolizer/process_proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLAG_KERNEL_THREAD = 0x00200000 /* PF_KTHREAD, kernel's include/linux/sched.h */ };

/* The beginning of a file of /proc, zero-terminated. Returns 0 or -errno. */
static int read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    size_t used = 0;

    if (fd < 0)
        return -errno;
    while (used < size - 1 && (got = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    got = got < 0 ? -errno : 0;
    close(fd);
    text[used] = '\0';
    return (int)got;
}

int hpp_process_status(pid_t pid, pid_t tid, struct hpp_thread_status *status)
{
    char path[64], text[1024], *name, *end;
    unsigned long flags = 0;
    int error;

    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
    error = read_file(path, text, sizeof text);
    if (error)
        return error;
    name = strchr(text, '(');
    end = strrchr(text, ')');
    if (!name || !end || sscanf(end + 1, " %c %*d %*d %*d %*d %*d %lu", &status->state, &flags) != 2)
        return -ESRCH;
    snprintf(status->name, sizeof status->name, "%.*s", (int)(end - name - 1), name + 1);
    status->kernel = flags & FLAG_KERNEL_THREAD;
    return 0;
}

long hpp_process_field(pid_t pid, pid_t tid, const char *field)
{
    char path[64], text[8192], key[64];
    const char *at;

    snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
    if (read_file(path, text, sizeof text))
        return -1;
    snprintf(key, sizeof key, "\n%s:", field);
    at = strstr(text, key);
    return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

long hpp_process_threads(pid_t pid, pid_t *tids, size_t room)
{
    char path[64];
    struct dirent *entry;
    size_t count = 0;
    DIR *folder;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    folder = opendir(path);
    if (!folder)
        return -errno;
    while ((entry = readdir(folder))) {
        pid_t tid = (pid_t)atol(entry->d_name);
        if (tid <= 0)
            continue;
        if (count < room)
            tids[count] = tid;
        count++;
    }
    closedir(folder);
    return (long)count;
}

static void name_of(pid_t pid, char name[HPP_THREAD_NAME])
{
    struct hpp_thread_status status;

    snprintf(name, HPP_THREAD_NAME, "%s", hpp_process_status(pid, pid, &status) ? "?" : status.name);
}

/* Whether all threads of PID have ended. */
static bool is_zombie(pid_t pid)
{
    struct hpp_thread_status status;
    pid_t tids[64];
    long count = hpp_process_threads(pid, tids, 64);

    if (count > 64)
        return false;
    for (long i = 0; i < count; i++)
        if (!hpp_process_status(pid, tids[i], &status) && status.state != 'Z' && status.state != 'X')
            return false;
    return true;
}

int hpp_process_check(pid_t pid, char why[HPP_PROCESS_WHY])
{
    struct hpp_thread_status status;
    char path[64], name[HPP_THREAD_NAME];
    long group;

    snprintf(path, sizeof path, "/proc/%d", pid);
    group = hpp_process_field(pid, pid, "Tgid");
    if (access(path, F_OK) || group < 0)
        snprintf(why, HPP_PROCESS_WHY, "there is no process %d", pid);
    else if (pid == getpid() || group == getpid())
        snprintf(why, HPP_PROCESS_WHY, "%d is this command itself, which cannot stop itself", pid);
    else if (group != pid)
        snprintf(why, HPP_PROCESS_WHY, "%d is a thread of process %ld: hpprof dump %ld --tid %d", pid, group,
                 group, pid);
    else if (hpp_process_status(pid, pid, &status))
        snprintf(why, HPP_PROCESS_WHY, "process %d has ended meanwhile", pid);
    else if (status.kernel)
        snprintf(why, HPP_PROCESS_WHY, "%d (%s) is a thread of the kernel, which has no stack in user space",
                 pid, status.name);
    else if (status.state == 'Z' && is_zombie(pid)) {
        long parent = hpp_process_field(pid, pid, "PPid");
        name_of((pid_t)parent, name);
        snprintf(why, HPP_PROCESS_WHY,
                 "process %d (%s) has ended: it is a zombie until its parent %ld (%s) waits for it", pid,
                 status.name, parent, name);
    } else
        return 0;
    return -1;
}

void hpp_process_refused(pid_t pid, pid_t tid, char why[HPP_PROCESS_WHY])
{
    long tracer = hpp_process_field(pid, tid, "TracerPid"), uid = hpp_process_field(pid, tid, "Uid");
    char text[32] = "0", name[HPP_THREAD_NAME];
    int scope;

    if (tracer > 0) {
        name_of((pid_t)tracer, name);
        snprintf(why, HPP_PROCESS_WHY,
                 "process %d is being traced by process %ld (%s): only one can do that at a time", pid,
                 tracer, name);
        return;
    }
    read_file("/proc/sys/kernel/yama/ptrace_scope", text, sizeof text);
    scope = atoi(text);
    if (scope >= 3)
        snprintf(why, HPP_PROCESS_WHY,
                 "may not stop process %d: kernel.yama.ptrace_scope is 3, which forbids it to all until the "
                 "next boot",
                 pid);
    else if (geteuid() == 0)
        snprintf(why, HPP_PROCESS_WHY,
                 "may not stop process %d: this needs CAP_SYS_PTRACE, which containers often "
                 "take away from root: run outside, or with --cap-add=SYS_PTRACE",
                 pid);
    else if (uid >= 0 && (uid_t)uid != geteuid())
        snprintf(why, HPP_PROCESS_WHY,
                 "may not stop process %d: it belongs to another user (uid %ld): run as root", pid, uid);
    else if (scope)
        snprintf(why, HPP_PROCESS_WHY,
                 "may not stop process %d: kernel.yama.ptrace_scope is %d: run as root%s", pid, scope,
                 scope == 1 ? ", or `sysctl kernel.yama.ptrace_scope=0`" : "");
    else
        snprintf(why, HPP_PROCESS_WHY,
                 "may not stop process %d: it has more rights than this command: run as root", pid);
}
