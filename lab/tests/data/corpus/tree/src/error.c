#include "plain.h"
#define CALL(f) f(undeclared)
int g(void) { return missing; }
int h(void) { return CALL(walk); }
struct point broken = { .z = 1 };
int i(void) { return "text" * 2; }
