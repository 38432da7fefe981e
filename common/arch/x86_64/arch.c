/* The two pieces that cannot be C: the signal return and the start of a clone(2) child. */
#include "common/arch.h"

/* Some unwinders know a signal frame by these very bytes (mov $15,%rax; syscall), some by its call-frame
 * information; it has both, as in libc. The frame is at the stack pointer: struct ucontext, with the
 * registers from byte 40 on (arch/x86/include/uapi/asm/sigcontext.h). The nop is for those that look at pc
 * - 1. */
__asm__(".text\n"
        ".macro saved register, at\n" /* DW_CFA_expression: DW_OP_breg7 (rsp) at */
        "    .cfi_escape 0x10, \\register, 3, 0x77, (\\at & 0x7f) | 0x80, \\at >> 7\n"
        ".endm\n"
        ".balign 16\n"
        ".cfi_startproc simple\n"
        ".cfi_signal_frame\n"
        ".cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 0x06\n" /* DW_CFA_def_cfa_expression: breg7 160; deref */
        "saved 8, 40\nsaved 9, 48\nsaved 10, 56\nsaved 11, 64\n"
        "saved 12, 72\nsaved 13, 80\nsaved 14, 88\nsaved 15, 96\n"
        "saved 5, 104\nsaved 4, 112\nsaved 6, 120\nsaved 3, 128\n"
        "saved 1, 136\nsaved 0, 144\nsaved 2, 152\nsaved 7, 160\nsaved 16, 168\n"
        "    nop\n"
        ".globl hpp_arch_sigreturn\n"
        ".hidden hpp_arch_sigreturn\n"
        ".type hpp_arch_sigreturn,@function\n"
        "hpp_arch_sigreturn:\n"
        "    movq $15, %rax\n"
        "    syscall\n"
        ".cfi_endproc\n"
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
