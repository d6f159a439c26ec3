int f(int x) { __asm__ volatile("no_such_instruction %0" : "+r"(x)); return x; }
