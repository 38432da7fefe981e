/* 7 MiB of code without frame pointers for bench/unwind, assembled sixteen times with CHUNK 0 to 15: functions
 * of the sizes, frames and number of unwind rows that compilers make. Each calls the function that rdi points
 * at, with rdi moved on to the next. */
#define FUNCTIONS 10240

    .set seed, CHUNK * 7919 + 1
    .macro draw name, below
    .set seed, (seed * 1103515245 + 12345) & 0x7fffffff
    .set \name, (seed >> 12) % (\below)
    .endm

    .macro save number, register
    .if pushes > \number
    push \register
    .cfi_def_cfa_offset 16 + 8 * \number
    .cfi_offset \register, -16 - 8 * \number
    .endif
    .endm

    .macro restore number, register
    .if pushes > \number
    pop \register
    .cfi_def_cfa_offset 8 + 8 * \number
    .endif
    .endm

    .text
    .rept FUNCTIONS
    draw pushes, 7
    draw room, 12
    draw before, 540
    draw behind, 780
    .set room, room * 16 + ((pushes + 1) & 1) * 8
    .balign 16
    .cfi_startproc
1:  save 0, %r15
    save 1, %r14
    save 2, %r13
    save 3, %r12
    save 4, %rbp
    save 5, %rbx
    .if room
    sub $room, %rsp
    .cfi_adjust_cfa_offset room
    .endif
    jmp 2f
    .skip before + 8, 0x90
2:  mov (%rdi), %rax
    add $8, %rdi
    call *%rax
    .cfi_remember_state
    .if room
    add $room, %rsp
    .cfi_adjust_cfa_offset -room
    .endif
    restore 5, %rbx
    restore 4, %rbp
    restore 3, %r12
    restore 2, %r13
    restore 1, %r14
    restore 0, %r15
    ret
    .cfi_restore_state
    .skip behind + 8, 0x90
    .cfi_endproc
    .pushsection bench_entries, "a"
    .long 1b - .
    .popsection
    .endr

#if CHUNK == 0
    /* where the functions are: 32-bit distances from the places that hold them */
    .section .data.rel.ro, "aw"
    .globl bench_text
    .balign 8
bench_text:
    .quad __start_bench_entries
    .quad __stop_bench_entries
    .type bench_text, @object
    .size bench_text, 16
#endif
    .section .note.GNU-stack, "", @progbits
