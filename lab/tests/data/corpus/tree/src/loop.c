#include "plain.h"
int sum(int *restrict a, int *restrict b, int n)
{
    int total = 0;
    for (int i = 0; i < n; i++) { a[i] = TWICE(b[i]); total += a[i]; }
    return total;
}
static int leaf(int x) { return x * 3; }
int calls(int x) { char buffer[100]; for (int i = 0; i < 100; i++) buffer[i] = x + i; return leaf(buffer[x]) + sum(&x, &x, 1); }
