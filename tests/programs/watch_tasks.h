/* The threads that watch_text traces, which it can have stand still. */
#ifndef WATCH_TASKS_H
#define WATCH_TASKS_H

#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>

enum { TASKS = 256 };

static struct task {
    pid_t tid;
    int wanted; /* the end of its call */
    unsigned long call;
    int held, status; /* it has stopped, and how, which is not looked at yet */
} tasks[TASKS];

/* Each thread keeps its place: few come. */
static struct task *task_of(pid_t tid)
{
    int i = 0;

    while (i < TASKS - 1 && tasks[i].tid && tasks[i].tid != tid)
        i++;
    tasks[i].tid = tid;
    return &tasks[i];
}

/* Every thread but TID stops, where it is. */
static void hold_others(pid_t tid)
{
    for (int i = 0; i < TASKS && tasks[i].tid; i++) {
        struct task *task = &tasks[i];
        if (task->tid != tid && !task->held && !ptrace(PTRACE_INTERRUPT, task->tid, 0, 0))
            task->held = waitpid(task->tid, &task->status, __WALL) == task->tid;
    }
}

/* The next thread that has stopped or ended; those that are held are passed over while ARE_HELD. */
static pid_t next_stop(int *status, int are_held)
{
    for (int i = 0; i < TASKS && tasks[i].tid && !are_held; i++)
        if (tasks[i].held) {
            tasks[i].held = 0;
            *status = tasks[i].status;
            return tasks[i].tid;
        }
    return waitpid(-1, status, __WALL);
}

#endif
