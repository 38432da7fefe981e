/* What /proc tells of a process and its threads. Offline only. */
#ifndef HPP_SYMBOLIZER_PROCESS_PROC_H
#define HPP_SYMBOLIZER_PROCESS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { HPP_THREAD_NAME = 64, HPP_PROCESS_WHY = 512 };

/* /proc/PID/task/TID/stat (proc_pid_stat(5)). */
struct hpp_thread_status {
    char state;  /* R S D T t Z X I */
    bool kernel; /* a thread of the kernel itself */
    char name[HPP_THREAD_NAME];
};

/* Returns 0, or -errno: -ENOENT or -ESRCH when there is no such thread. */
int hpp_process_status(pid_t pid, pid_t tid, struct hpp_thread_status *status);

/* The number after FIELD ("TracerPid") in /proc/PID/task/TID/status, or -1. */
long hpp_process_field(pid_t pid, pid_t tid, const char *field);

/* The threads that /proc/PID/task lists now, at most ROOM into TIDS. Returns their number, which may be
 * larger than ROOM, or -errno. */
long hpp_process_threads(pid_t pid, pid_t *tids, size_t room);

/* Whether PID can be looked into at all: 0, or -1 and in WHY the line that says why not. */
int hpp_process_check(pid_t pid, char why[HPP_PROCESS_WHY]);

/* Writes to WHY why the kernel refused (EPERM) to let us trace thread TID of PID, and what to do. */
void hpp_process_refused(pid_t pid, pid_t tid, char why[HPP_PROCESS_WHY]);

#endif
