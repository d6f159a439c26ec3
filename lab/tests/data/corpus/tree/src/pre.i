# 1 "src/pre.c"
# 1 "<built-in>"
# 1 "src/pre.c"
int pre(int x) { return x; }
const char *f = "src/pre.c";
