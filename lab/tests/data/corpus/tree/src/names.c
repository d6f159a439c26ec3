#include <assert.h>
#include "names.h"
const char *names[] = { __FILE__, __BASE_FILE__ };
const char *function(int x) { assert(x > 0); return x > header_level() ? header_names[0] : __func__; }
#line 500 "renamed.c"
int line = __LINE__;
const char *renamed = __FILE__;
