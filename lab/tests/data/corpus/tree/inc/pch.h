#include <stdio.h>
#include "plain.h"
#define FROM_PCH 1
static inline int in_pch(int x) { return x + FROM_PCH; }
