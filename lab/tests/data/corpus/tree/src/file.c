#include <assert.h>
const char *file = __FILE__;
int check(int x) { assert(x > 0); return x; }
#line 77 "grammar.y"
const char *other = __FILE__;
int checked(int x) { assert(x > 1); return x; }
