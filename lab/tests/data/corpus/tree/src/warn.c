#include <string.h>
#include "warn.h"
#define NEVER_USED 7
#define COMPARE(a, b) ((a) == (b))

static int never(void) { return 1; }

#define MAX(a, b) ((a) > (b) ? (a) : (b))
struct pair { int a, b; };

int sequence(int x)
{
    struct pair p = { x++, MAX(x, 3) };
    return p.a + p.b;
}

int f(int x, unsigned u)
{
    int y;
    switch (x) {
    case 1: x++;
    case 2: x--;
    }
    ASSIGN(x, 3);
    EMPTY_BODY(x)
    if (COMPARE(x, u)) return in_header(x, u);
    char *p = CAST(u);
    return x + (p != 0);
}
