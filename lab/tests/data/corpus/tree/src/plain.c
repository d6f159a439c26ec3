#include <stddef.h>
#include <stdio.h>
#include "plain.h"

static int depth;

int walk(const char *path)
{
    point p = { ++depth, 3 };
    p.y = MAX(p.x, p.y);
    printf("%s at %d\n", path, area(p));
    return depth > 3 ? depth : walk(path);
}
