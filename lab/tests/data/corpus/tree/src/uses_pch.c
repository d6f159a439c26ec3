#include "pch.h"
int f(int x) { return in_pch(x) + FROM_PCH; }
