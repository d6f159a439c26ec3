#include "tiny.h"
int f(int x) { return tiny(x); }
