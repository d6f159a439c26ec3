#define HEADER <stddef.h>
#define LOCAL "plain.h"
#define IN(dir, name) STRING(dir/name)
#define STRING(x) #x
#include HEADER
#include LOCAL
#include IN(../inc, counter.h)
#if __has_include("no-such.h")
#error impossible
#endif
#ifdef __has_include
size_t size = sizeof(point);
#endif
