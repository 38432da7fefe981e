/* A process's threads as they stood at one moment: registers, stacks, mappings. The process is stopped only
 * while they are copied, and is released whatever becomes of us. Offline only. */
#ifndef HPP_SYMBOLIZER_PROCESS_STOP_H
#define HPP_SYMBOLIZER_PROCESS_STOP_H

#include "common/arch_registers.h"
#include "symbolizer/memory.h"
#include "symbolizer/process_proc.h"

enum {
    HPP_STACK_BYTES = 1 << 20, /* of a stack are copied at most */
    HPP_STACK_PIECES = 2,      /* the present stack, and the one that a signal interrupted */
};

struct hpp_stack_piece {
    uint64_t address;
    size_t size;
    uint8_t *bytes;
    bool cut; /* there was more */
};

struct hpp_process_thread {
    pid_t tid;
    struct hpp_thread_status status; /* before the stop */
    bool taken;                      /* registers and stack are there */
    const char *missing;             /* if not: why, NULL when the thread has just ended */
    struct hpp_arch_registers registers;
    struct hpp_stack_piece pieces[HPP_STACK_PIECES];
};

/* A line of /proc/PID/maps. */
struct hpp_process_mapping {
    uint64_t start, end, offset, device, inode;
    bool executable;
    const char *path; /* "" for anonymous memory */
};

struct hpp_process {
    pid_t pid;
    pid_t reach; /* a thread that lives: when the main thread has ended, /proc/PID and PID give no memory */
    struct hpp_process_thread *threads; /* the main thread first, then by tid */
    size_t thread_count;
    struct hpp_process_mapping *mappings; /* rising */
    size_t mapping_count;
    uint64_t stopped_ns; /* between the first thread's stop and the last one's release */
    struct hpp_pool pool;
};

/* Takes all threads of PID, or only TID if that is not 0. Returns 0, or -1 and in WHY a line that says why
 * nothing could be taken. PROCESS is to be freed in any case. Signals that would end us wait until the
 * process runs again. */
int hpp_process_take(struct hpp_process *process, pid_t pid, pid_t tid, char why[HPP_PROCESS_WHY]);
void hpp_process_free(struct hpp_process *process);

/* Reads process->mappings anew. Without right to, there are none. */
void hpp_process_mappings_read(struct hpp_process *process);

/* The mapping that holds ADDRESS, or NULL. */
const struct hpp_process_mapping *hpp_process_mapping_find(const struct hpp_process *process,
                                                           uint64_t address);

#endif
