/* Functions for the single-stepping test whose call-frame information is written by hand: what assembly in
 * libraries does and compilers seldom do. Test only. flags: none */
        .text
        .macro FUNCTION name
        .globl \name
        .hidden \name
        .type \name, @function
\name:  .cfi_startproc
        .endm
        .macro END name
        .cfi_endproc
        .size \name, . - \name
        .endm

/* void step_enter(void (*function)(void), void *stack_end): calls FUNCTION on another stack, where it has no
 * caller but step_base, which has none. */
        FUNCTION step_enter
        push %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_offset %rbx, -16
        mov %rsp, %rbx
        .cfi_def_cfa_register %rbx
        mov %rsi, %rsp
        call step_base
        mov %rbx, %rsp
        .cfi_def_cfa_register %rsp
        pop %rbx
        .cfi_adjust_cfa_offset -8
        ret
        END step_enter

        FUNCTION step_base
        .cfi_undefined %rip
        sub $8, %rsp
        xor %ebp, %ebp
        call *%rdi
        add $8, %rsp
        ret
        .globl step_base_end
        .hidden step_base_end
step_base_end:
        END step_base

/* void step_switch(uint64_t *save_sp, uint64_t to_sp): a switch of coroutines as libraries write it. */
        FUNCTION step_switch
        push %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        push %rbx
        .cfi_adjust_cfa_offset 8
        push %r12
        .cfi_adjust_cfa_offset 8
        push %r13
        .cfi_adjust_cfa_offset 8
        push %r14
        .cfi_adjust_cfa_offset 8
        push %r15
        .cfi_adjust_cfa_offset 8
        mov %rsp, (%rdi)
        mov %rsi, %rsp
        pop %r15
        .cfi_adjust_cfa_offset -8
        pop %r14
        .cfi_adjust_cfa_offset -8
        pop %r13
        .cfi_adjust_cfa_offset -8
        pop %r12
        .cfi_adjust_cfa_offset -8
        pop %rbx
        .cfi_adjust_cfa_offset -8
        pop %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        ret
        END step_switch

/* All callee-saved registers, a red zone's worth of locals, a call in between. */
        FUNCTION step_asm_pushes
        push %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        push %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        push %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        mov $0x1234567, %rbp
        sub $4096, %rsp
        .cfi_adjust_cfa_offset 4096
        orq $0, (%rsp)
        call step_target
        add $4096, %rsp
        .cfi_adjust_cfa_offset -4096
        pop %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        pop %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        pop %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        ret
        END step_asm_pushes

/* Nested remember_state and restore_state: three ways out. */
        FUNCTION step_asm_states
        push %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        mov %rdi, %rbp
        .cfi_remember_state
        test $1, %dil
        jz 1f
        sub $24, %rsp
        .cfi_def_cfa_offset 40
        .cfi_remember_state
        test $2, %dil
        jz 2f
        push %rdi
        .cfi_def_cfa_offset 48
        call step_target
        add $32, %rsp
        .cfi_def_cfa_offset 16
        pop %rbp
        .cfi_def_cfa_offset 8
        .cfi_restore %rbp
        ret
2:      .cfi_restore_state
        call step_target
        nop
        add $24, %rsp
        .cfi_def_cfa_offset 16
        pop %rbp
        .cfi_def_cfa_offset 8
        .cfi_restore %rbp
        ret
1:      .cfi_restore_state
        call step_target
        mov %rbp, %rdi
        pop %rbp
        .cfi_def_cfa_offset 8
        .cfi_restore %rbp
        ret
        END step_asm_states

/* CFA in registers that only frame 0 knows, in a leaf: OpenSSL's way (rax, then r11). */
        FUNCTION step_asm_cfa_register
        mov %rsp, %rax
        .cfi_def_cfa_register %rax
        push %rbx
        .cfi_offset %rbx, -16
        push %rbp
        .cfi_offset %rbp, -24
        sub $128, %rsp
        and $-64, %rsp
        mov $77, %ebp
        mov %rax, %r11
        .cfi_def_cfa_register %r11
        xor %eax, %eax
        lea 3(%rax,%rdi), %rax
        mov -16(%r11), %rbp
        .cfi_restore %rbp
        mov -8(%r11), %rbx
        .cfi_restore %rbx
        mov %r11, %rsp
        .cfi_def_cfa_register %rsp
        ret
        END step_asm_cfa_register

/* CFA saved on an aligned stack (OpenSSL: cfi_cfa_expression %rsp+40,deref,+8), across a call. */
        FUNCTION step_asm_far_call
        mov %rsp, %rax
        .cfi_def_cfa_register %rax
        push %rbp
        .cfi_offset %rbp, -16
        sub $64, %rsp
        and $-64, %rsp
        mov %rax, 40(%rsp)
        /* DW_CFA_def_cfa_expression { DW_OP_breg7 (rsp) 40; DW_OP_deref; DW_OP_plus_uconst 8 } */
        .cfi_escape 0x0f, 5, 0x77, 40, 0x06, 0x23, 8
        mov $0x55, %ebp
        call step_target
        mov 40(%rsp), %rsi
        .cfi_def_cfa %rsi, 8
        mov -8(%rsi), %rbp
        .cfi_restore %rbp
        mov %rsi, %rsp
        .cfi_def_cfa_register %rsp
        ret
        END step_asm_far_call

/* The frame pointer is set late and given up early. */
        FUNCTION step_asm_frame_pointer_late
        push %rbx
        .cfi_adjust_cfa_offset 8
        sub $16, %rsp
        .cfi_adjust_cfa_offset 16
        mov %rbp, 8(%rsp)
        .cfi_rel_offset %rbp, 8
        lea 8(%rsp), %rbp
        .cfi_def_cfa %rbp, 24
        push %rdi
        push %rdi
        call step_target
        mov %rbp, %rsp
        mov (%rbp), %rbp
        .cfi_restore %rbp
        .cfi_def_cfa %rsp, 24
        add $8, %rsp
        .cfi_adjust_cfa_offset -8
        pop %rbx
        .cfi_adjust_cfa_offset -8
        ret
        END step_asm_frame_pointer_late

/* A call that only wants to know where it is. */
        FUNCTION step_asm_get_pc
        call 1f
1:      .cfi_adjust_cfa_offset 8
        pop %rax
        .cfi_adjust_cfa_offset -8
        and $15, %eax
        add %rdi, %rax
        ret
        END step_asm_get_pc

        FUNCTION step_asm_tail
        sub $8, %rsp
        .cfi_adjust_cfa_offset 8
        call step_target
        add $8, %rsp
        .cfi_adjust_cfa_offset -8
        jmp step_target
        END step_asm_tail

        FUNCTION step_asm_enter_leave
        enter $32, $0
        .cfi_def_cfa %rbp, 16
        .cfi_offset %rbp, -16
        call step_target
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        ret
        END step_asm_enter_leave

/* The frame pointer as a plain number, an address of code, an address of the stack: nobody may follow it. */
        FUNCTION step_asm_fp_as_data
        push %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        mov %rsp, %rbp
        call step_target
        lea step_asm_fp_as_data(%rip), %rbp
        call step_target
        lea 16(%rsp), %rbp
        call step_target
        mov $-1, %rbp
        pop %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        ret
        END step_asm_fp_as_data

        FUNCTION step_target
        lea (%rdi,%rdi,2), %rax
        ret
        END step_target

        .section .note.GNU-stack,"",@progbits
