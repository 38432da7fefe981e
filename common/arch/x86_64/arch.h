/* x86-64. Included through common/arch.h only. */
#ifndef HPP_COMMON_ARCH_X86_64_H
#define HPP_COMMON_ARCH_X86_64_H

#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

/* The kernel's convention: number in rax, arguments in rdi rsi rdx r10 r8 r9, result or -errno in
 * rax, rcx and r11 lost (syscall(2)). Touches no errno, calls nothing: safe in any context. */
static inline long hpp_arch_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline uint64_t hpp_arch_pc(const ucontext_t *context)
{
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
}

static inline uint64_t hpp_arch_sp(const ucontext_t *context)
{
    return (uint64_t)context->uc_mcontext.gregs[REG_RSP];
}

static inline uint64_t hpp_arch_fp(const ucontext_t *context)
{
    return (uint64_t)context->uc_mcontext.gregs[REG_RBP];
}

/* The register that call-frame information gives this number (common/arch_dwarf.h) as it was when the signal
 * came; 0 for numbers that are none. */
static inline uint64_t hpp_arch_register(const ucontext_t *context, unsigned number)
{
    static const uint8_t places[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
                                     REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

    return number < sizeof places ? (uint64_t)context->uc_mcontext.gregs[places[number]] : 0;
}

/* Whether the signal came at the end of a system call: the syscall instruction leaves its own end in rcx and
 * the flags in r11 (Intel SDM, volume 2, SYSCALL). */
static inline int hpp_arch_ends_call(const ucontext_t *context)
{
    const greg_t *gregs = context->uc_mcontext.gregs;

    return gregs[REG_RCX] == gregs[REG_RIP] && gregs[REG_R11] == gregs[REG_EFL];
}

/* Whether that call is one that unblocked the signal: rt_sigprocmask(how, ..., 8), which gives 0 and has kept
 * its arguments, or a wait with another mask (sigsuspend, ppoll), which gives -EINTR (4). */
static inline int hpp_arch_call_unblocks(const ucontext_t *context)
{
    const greg_t *gregs = context->uc_mcontext.gregs;

    return gregs[REG_RAX] == -4 ||
           (gregs[REG_RAX] == 0 && gregs[REG_R10] == 8 && (uint64_t)gregs[REG_RDI] <= 2);
}

/* Compilers and assemblers put functions at multiples of this. */
#define HPP_ARCH_FUNCTION_ALIGNMENT 16

/* Whether a call instruction ends at END, before which at least 7 bytes can be read: E8 and 4 bytes, or FF /2
 * with a register or memory operand of any length (Intel SDM, volume 2, CALL). */
static inline int hpp_arch_ends_with_call(const uint8_t *end)
{
    if (end[-5] == 0xe8)
        return 1;
    for (int length = 2; length <= 7; length++)
        if (end[-length] == 0xff && (end[-length + 1] & 0x38) == 0x10)
            return 1;
    return 0;
}

/* A number that differs from call to call; for phases, not for secrets. */
static inline uint64_t hpp_arch_ticks(void)
{
    return __builtin_ia32_rdtsc();
}

static inline void hpp_arch_pause(void)
{
    __builtin_ia32_pause();
}

/* Whether valgrind interprets this program: it answers to a sequence that does nothing on a processor
 * (valgrind.h, request RUNNING_ON_VALGRIND). */
static inline int hpp_arch_is_valgrind(void)
{
    volatile uint64_t request[6] = {0x1001};
    uint64_t answer = 0;

    __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
                     : "+d"(answer)
                     : "a"(request)
                     : "cc", "memory", "rdi");
    return answer != 0;
}

#define HPP_ARCH_SA_RESTORER 0x04000000

/* What a handler returns to: rt_sigreturn. The kernel wants it named in every sigaction on x86-64. */
void hpp_arch_sigreturn(void);

/* clone(2) with FLAGS; the child runs FUNCTION(ARGUMENT) on the stack that ends at STACK_END with the
 * thread pointer TLS (CLONE_SETTLS must be in FLAGS) and ends when that returns, with its result as
 * exit status. Returns the child's pid to the caller, or -errno. */
long hpp_arch_clone(unsigned long flags, void *stack_end, void *tls, int (*function)(void *), void *argument);

#endif
