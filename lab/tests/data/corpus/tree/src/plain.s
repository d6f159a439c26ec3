    .text
    .globl plain
plain:
    mov $3, %eax
    ret
    .section .note.GNU-stack,"",@progbits
