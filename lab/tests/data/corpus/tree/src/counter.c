#include "counter.h"
int UNIQUE(global_) = 1;
int UNIQUE(global_) = __COUNTER__;
int last(void) { return header_0 + __COUNTER__; }
