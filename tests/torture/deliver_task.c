/* What tests/torture/deliver.c does to one stopped thread. x86-64. */
#include "deliver.h"

#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

int deliver_read(const struct task *task, uint64_t address, void *to, size_t size)
{
    struct iovec here = {to, size}, there = {(void *)address, size};

    return process_vm_readv(task->tid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

int deliver_at_call(const struct task *task)
{
    unsigned char code[2] = {0};
    long at = ptrace(PTRACE_PEEKUSER, task->tid, offsetof(struct user_regs_struct, rip), 0);

    return deliver_read(task, (uint64_t)at, code, sizeof code) && code[0] == 0x0f && code[1] == 0x05;
}

int deliver_skip_call(struct task *task)
{
    return ptrace(PTRACE_POKEUSER, task->tid, offsetof(struct user_regs_struct, orig_rax), -1L) ? -1 : 0;
}

int deliver_rewind_call(struct task *task)
{
    struct user_regs_struct registers;

    if (ptrace(PTRACE_GETREGS, task->tid, 0, &registers))
        return -1;
    registers.rip -= 2;
    registers.rax = task->call;
    registers.orig_rax = (unsigned long long)-1;
    return ptrace(PTRACE_SETREGS, task->tid, 0, &registers) ? -1 : 0;
}
