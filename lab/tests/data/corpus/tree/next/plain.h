#define NEXT_FIRST 1
#include_next <plain.h>
