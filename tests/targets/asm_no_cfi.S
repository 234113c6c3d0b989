// Hand-written assembly without call frame information, two functions with frame pointers between two C
// library frames that have CFI.
// build: cc -g $SRC -o $OUT
// stack: *pause < inner < outer < main
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
        call    outer
        leave
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size main, .-main

        .type outer, @function
outer:
        push    %rbp
        mov     %rsp, %rbp
        sub     $0x30, %rsp
        call    inner
        leave
        ret
        .size outer, .-outer

        .type inner, @function
inner:
        push    %rbp
        mov     %rsp, %rbp
        push    %rbx
        push    %rbx
        lea     text(%rip), %rdi
        call    puts@PLT
        mov     stdout@GOTPCREL(%rip), %rax
        mov     (%rax), %rdi
        call    fflush@PLT
1:      call    pause@PLT
        jmp     1b
        .size inner, .-inner

        .section .rodata
text:   .string "ready"
        .section .note.GNU-stack, "", @progbits
