// Symbols as assembly leaves them: without a size, without a type, inside each other, with an alias, local,
// and code between two symbols that belongs to neither. No debug information but call frame information.
// build: cc $SRC -o $OUT
// build(clang): clang $SRC -o $OUT
// build(static): cc -static -no-pie $SRC -o $OUT
// build(label): cc -DLABEL $SRC -o $OUT
// no-gdb(label): it takes a label inside a function that has a size as reaching beyond the function
// stack: *pause < zero_sized < inner < outer < local_one < ? < between < main
// absent: small
// absent: inside_small
// end: root
    .text

    .macro begin name
    .p2align 4
\name:
    .cfi_startproc
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    .endm

    .macro finish
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .endm

// Neither a size nor a type.
    .globl zero_sized
    begin zero_sized
    leaq text(%rip), %rdi
    call puts@PLT
    movq stdout@GOTPCREL(%rip), %rax
    movq (%rax), %rdi
    call fflush@PLT
.Lagain:
    call pause@PLT
    jmp .Lagain
    finish

// A function with a size inside another one with a size: two names, the inner is right.
    .globl outer
    .type outer, @function
    begin outer
    call inner
    finish
    .p2align 4
    .globl inner
    .type inner, @function
inner:
    .cfi_startproc
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    call zero_sized
    finish
    .size inner, .-inner
    .size outer, .-outer

// Local, with a size, with an alias that says none.
    .type local_one, @function
    begin local_one
    call outer
    finish
    .size local_one, .-local_one
    .set alias_of_local, local_one

// The size ends before the code does: what follows belongs to nobody, whatever label is in it.
    .globl small
    .type small, @function
    begin small
#ifdef LABEL
inside_small:
    nop
#endif
    .size small, .-small
    call local_one
    finish

// Local label of a name that is no function's; the function has no size.
    .type between, @function
    begin between
    call small
behind:
    finish

    .globl main
    .type main, @function
    begin main
    call between
    finish
    .size main, .-main

    .section .rodata
text:
    .string "ready"
    .section .note.GNU-stack, "", @progbits
