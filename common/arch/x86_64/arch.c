/* The two pieces that cannot be C: the signal return and the start of a clone(2) child. */
#include "common/arch.h"

/* Unwinders know a signal frame by these very bytes (mov $15,%rax; syscall), as in libc. */
__asm__(".text\n"
        ".balign 16\n"
        ".globl hpp_arch_sigreturn\n"
        ".hidden hpp_arch_sigreturn\n"
        ".type hpp_arch_sigreturn,@function\n"
        "hpp_arch_sigreturn:\n"
        "    movq $15, %rax\n"
        "    syscall\n"
        ".size hpp_arch_sigreturn, .-hpp_arch_sigreturn\n");

/* rdi flags, rsi stack end, rdx tls, rcx function, r8 argument */
__asm__(".text\n"
        ".balign 16\n"
        ".globl hpp_arch_clone\n"
        ".hidden hpp_arch_clone\n"
        ".type hpp_arch_clone,@function\n"
        "hpp_arch_clone:\n"
        "    andq $-16, %rsi\n"
        "    subq $16, %rsi\n"
        "    movq %rcx, (%rsi)\n"
        "    movq %r8, 8(%rsi)\n"
        "    movq %rdx, %r8\n" /* clone: flags, stack, parent_tid, child_tid, tls */
        "    xorl %edx, %edx\n"
        "    xorl %r10d, %r10d\n"
        "    movl $56, %eax\n"
        "    syscall\n"
        "    testq %rax, %rax\n"
        "    jnz 1f\n"
        "    xorl %ebp, %ebp\n" /* the root frame of the new stack */
        "    popq %rax\n"
        "    popq %rdi\n"
        "    call *%rax\n"
        "    movl %eax, %edi\n"
        "    movl $231, %eax\n" /* exit_group */
        "    syscall\n"
        "    hlt\n"
        "1:  ret\n"
        ".size hpp_arch_clone, .-hpp_arch_clone\n");
