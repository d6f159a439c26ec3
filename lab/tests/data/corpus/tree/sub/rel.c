#include "../inc/plain.h"
#include "deep/near.h"
int rel(void) { return NEAR + TWICE(2); }
