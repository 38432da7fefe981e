/* As in x86_64/. */

/* x0 number, x1 to x6 its arguments */
__asm__(".text\n"
        ".balign 16\n"
        ".globl syscall\n"
        ".type syscall,%function\n"
        "syscall:\n"
        ".cfi_startproc\n"
        "    hint #34\n"     /* bti c */
        "    cmp w0, #277\n" /* seccomp */
        "    b.eq 2f\n"
        "    cmp w0, #167\n" /* prctl */
        "    b.eq 2f\n"
        "    cmp w0, #134\n" /* rt_sigaction */
        "    b.eq 2f\n"
        "    mov x8, x0\n"
        "    mov x0, x1\n"
        "    mov x1, x2\n"
        "    mov x2, x3\n"
        "    mov x3, x4\n"
        "    mov x4, x5\n"
        "    mov x5, x6\n"
        "    svc #0\n"
        "    cmn x0, #4095\n"
        "    b.cs 1f\n"
        "    ret\n"
        "1:  b hpp_syscall_failed\n"
        "2:  b hpp_syscall_told\n"
        ".cfi_endproc\n"
        ".size syscall, .-syscall\n");
