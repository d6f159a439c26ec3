#include <sysmacro.h>
int s = SYS_EXPAND(3);
int t(void) { int u = SYS_SHADOW(u); return u; }
