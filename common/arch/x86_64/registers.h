/* x86-64. Included through common/arch_registers.h only. */
#ifndef HPP_COMMON_ARCH_X86_64_REGISTERS_H
#define HPP_COMMON_ARCH_X86_64_REGISTERS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/user.h>

/* Numbers of System V ABI, AMD64 supplement, figure 3.36; libunwind's are the same. */
enum { HPP_ARCH_SP = 7, HPP_ARCH_PC = 16, HPP_ARCH_REGISTERS = 17, HPP_ARCH_RED_ZONE = 128 };

struct hpp_arch_registers {
    uint64_t value[HPP_ARCH_REGISTERS];
};

static inline struct hpp_arch_registers hpp_arch_registers_from(const struct user_regs_struct *user)
{
    return (struct hpp_arch_registers){{user->rax, user->rdx, user->rcx, user->rbx, user->rsi, user->rdi,
                                        user->rbp, user->rsp, user->r8, user->r9, user->r10, user->r11,
                                        user->r12, user->r13, user->r14, user->r15, user->rip}};
}

/* Some calls do not begin again by themselves after a stop, but would fail with EINTR (signal(7)). Of those
 * that can begin again without harm, the thread behind USER is made to: as by ERESTARTNOHAND (kernel,
 * arch/x86/kernel/signal.c) the call begins again, or fails with EINTR if a signal's function runs first.
 * Returns whether USER was changed. */
static inline bool hpp_arch_restart_call(struct user_regs_struct *user)
{
    enum { RESTART_NO_HANDLER = 514 };

    if ((long)user->rax != -EINTR)
        return false;
    switch ((long)user->orig_rax) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
    case SYS_semop:
    case SYS_semtimedop:
    case SYS_rt_sigtimedwait:
    case SYS_io_getevents:
    case SYS_io_pgetevents:
    case SYS_io_uring_enter:
        user->rax = (unsigned long long)-RESTART_NO_HANDLER;
        return true;
    default:
        return false;
    }
}

/* Looks in the SIZE bytes of a stack at ADDRESS for the frame of a signal that was taken on an alternate
 * stack, and gives the stack pointer that it interrupted; 0: none. (struct ucontext of the kernel's
 * asm-generic/ucontext.h: flags, link, ss_sp, ss_flags, ss_size, then r8 … r15 rdi rsi rbp rbx rdx rax rcx
 * rsp.) */
static inline uint64_t hpp_arch_interrupted_sp(const uint8_t *bytes, size_t size, uint64_t address)
{
    enum { FLAGS, LINK, STACK, STACK_FLAGS, STACK_SIZE, SP = 5 + 15, WORDS };
    uint64_t word[WORDS];

    for (size_t at = -address % 8; at + sizeof word <= size; at += 8) {
        memcpy(word, bytes + at, sizeof word);
        if (word[FLAGS] <= 7 && !word[LINK] && word[STACK] && address + at - word[STACK] < word[STACK_SIZE] &&
            word[STACK_SIZE] <= 1u << 30 && word[SP] - word[STACK] >= word[STACK_SIZE])
            return word[SP];
    }
    return 0;
}

#endif
