__asm__(".macro nothing\n nop\n.endm\n");
int f(int x) { __asm__ volatile("nothing\n\t addl $1, %0" : "+r"(x)); return x; }
