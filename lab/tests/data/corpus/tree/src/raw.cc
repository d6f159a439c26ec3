#define STR(x) #x
const char *a = R"(#include "nothing.h"
#define X 1
# 99 "other.c"
)";
const char *b = R"x(a "quoted" \ line )" still)x";
const char *c = STR(R"(one
  two)");
const wchar_t *d = LR"(// not a comment /* nor this)";
int after = __LINE__;
