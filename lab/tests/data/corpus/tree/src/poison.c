#include "plain.h"
#pragma redefine_extname before after
extern int before(void);
#pragma GCC poison forbidden
#pragma message "compiling this"
int f(void) { return before(); }
