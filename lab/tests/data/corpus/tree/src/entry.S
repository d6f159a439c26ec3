#include "asm.h"
    .text
    .globl entry
entry:
    MOVE(%eax, VALUE)
    ret
    .section .note.GNU-stack,"",@progbits
