/* syscall(2) as libc has it, in front of libc's: it touches neither the stack nor more registers than that,
 * as programs clone with it. Calls that the agent must hear of go to interpose_events.c, with all that they
 * came with. Runs on the target's threads. */

/* rdi number, rsi rdx rcx r8 r9 and 8(rsp) its arguments */
__asm__(".text\n"
        ".balign 16\n"
        ".globl syscall\n"
        ".type syscall,@function\n"
        "syscall:\n"
        ".cfi_startproc\n"
        "    endbr64\n"
        "    cmpl $317, %edi\n" /* seccomp */
        "    je hpp_syscall_told\n"
        "    cmpl $157, %edi\n" /* prctl */
        "    je hpp_syscall_told\n"
        "    cmpl $13, %edi\n" /* rt_sigaction */
        "    je hpp_syscall_told\n"
        "    movq %rdi, %rax\n"
        "    movq %rsi, %rdi\n"
        "    movq %rdx, %rsi\n"
        "    movq %rcx, %rdx\n"
        "    movq %r8, %r10\n"
        "    movq %r9, %r8\n"
        "    movq 8(%rsp), %r9\n"
        "    syscall\n"
        "    cmpq $-4095, %rax\n"
        "    jae 1f\n"
        "    ret\n"
        "1:  movq %rax, %rdi\n"
        "    jmp hpp_syscall_failed\n"
        ".cfi_endproc\n"
        ".size syscall, .-syscall\n");
