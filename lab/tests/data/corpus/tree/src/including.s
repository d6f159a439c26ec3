    .include "inc/macros.inc"
    .text
    .globl including
including:
    RETURN 5
    .section .rodata
    .incbin "lists/blob.bin"
    .section .note.GNU-stack,"",@progbits
