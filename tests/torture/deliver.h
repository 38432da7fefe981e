/* The traced threads of tests/torture/deliver.c, and what is done to one by ptrace. */
#ifndef HPP_TESTS_TORTURE_DELIVER_H
#define HPP_TESTS_TORTURE_DELIVER_H

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KERNEL_SIGEV_THREAD_ID 4
#define MARK                   0x4870u /* the upper 16 bits of what the agent's timers carry (profiler/slots.c) */

struct task {
    pid_t tid; /* 0: no task */
    pid_t tgid;
    uint64_t value; /* of its timer; 0: it has had none yet */
    uint64_t made;  /* the value of a timer that it has made, and not set yet; 0: none */
    pid_t made_for;
    uint64_t call;  /* the last system call */
    uint64_t event; /* its second argument */
    int in_call;
    int in_handler; /* the signal was delivered, and the handler has not returned yet */
    int skipped;    /* the call was entered, but not made: to be entered again */
    int again;      /* so it is now */
};

/* Whether the next instruction of the stopped TASK is a system call. */
int deliver_at_call(const struct task *task);

/* Reads SIZE bytes at ADDRESS of TASK's memory; whether it could. */
int deliver_read(const struct task *task, uint64_t address, void *to, size_t size);

/* TASK is stopped at the entry of a call: it will not be made. Returns 0 or -1. */
int deliver_skip_call(struct task *task);

/* TASK is stopped at the end of a call that was not made: it goes on right before that call. */
int deliver_rewind_call(struct task *task);

#endif
