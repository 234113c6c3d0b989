// Hand-written assembly with call frame information, among it rules compilers never write: the CFA in a
// scratch register, registers saved in registers, expressions, remember_state/restore_state.
// build: cc -g $SRC -o $OUT
// stack: *pause < saved_in_register < cfa_expression < cfa_in_rbx < main
// end: root
        .text
        .globl main
        .type main, @function
main:
        .cfi_startproc
        push    %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        mov     $0x1111111111111111, %r12
        call    cfa_in_rbx
        leave
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size main, .-main

        .type cfa_in_rbx, @function
cfa_in_rbx:                             // the stack moves by an amount CFI does not know
        .cfi_startproc
        push    %rbx
        .cfi_def_cfa_offset 16
        .cfi_offset %rbx, -16
        mov     %rsp, %rbx
        .cfi_def_cfa_register %rbx
        sub     $0x238, %rsp
        and     $-64, %rsp
        call    cfa_expression
        mov     %rbx, %rsp
        .cfi_def_cfa_register %rsp
        pop     %rbx
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        .size cfa_in_rbx, .-cfa_in_rbx

        .type cfa_expression, @function
cfa_expression:                         // the old rsp is stored at 8(%rsp): CFA = *(rsp + 8) + 8
        .cfi_startproc
        mov     %rsp, %rax
        sub     $0x40, %rsp
        and     $-32, %rsp
        mov     %rax, 8(%rsp)
        // DW_CFA_def_cfa_expression, 5 bytes: breg7 8; deref; plus_uconst 8
        .cfi_escape 0x0f, 5, 0x77, 8, 0x06, 0x23, 8
        call    saved_in_register
        mov     8(%rsp), %rsp
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size cfa_expression, .-cfa_expression

        .type saved_in_register, @function
saved_in_register:                      // rbx lives in r12 meanwhile, r12 on the stack by val_expression
        .cfi_startproc
        push    %r12
        .cfi_def_cfa_offset 16
        // DW_CFA_expression r12: breg7... of the CFA on the stack: lit16; minus
        .cfi_escape 0x10, 12, 2, 0x40, 0x1c
        mov     %rbx, %r12
        .cfi_register %rbx, %r12
        mov     $0x7777777777777777, %rbx
        .cfi_remember_state
        sub     $16, %rsp
        .cfi_adjust_cfa_offset 16
        lea     text(%rip), %rdi
        call    puts@PLT
        mov     stdout@GOTPCREL(%rip), %rax
        mov     (%rax), %rdi
        call    fflush@PLT
1:      call    pause@PLT
        jmp     1b
        .cfi_restore_state
        mov     %r12, %rbx
        pop     %r12
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        .size saved_in_register, .-saved_in_register

        .section .rodata
text:   .string "ready"
        .section .note.GNU-stack, "", @progbits
