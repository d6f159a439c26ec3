#include "plain.h"
int main(void) { return walk("main") == 4 ? 0 : 1; }
