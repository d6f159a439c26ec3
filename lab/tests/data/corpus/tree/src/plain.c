#include <stddef.h>
#include <stdio.h>
#include "plain.h"

static int depth;

int walk(const char *path)
{
    point p = { depth++, MAX(depth, 3) };
    printf("%s at %d\n", path, area(p));
    return depth > 3 ? depth : walk(path);
}
