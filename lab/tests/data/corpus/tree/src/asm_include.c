__asm__(".include \"inc/macros.inc\"\n");
int f(void) { __asm__ volatile("RETURN 6"); return 1; }
