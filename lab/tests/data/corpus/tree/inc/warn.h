#define UNUSED_IN_HEADER 1
#define ASSIGN(v, w) if (v = w) v++
#define EMPTY_BODY(c) if (c);
#define CAST(x) ((char *)(x))
static int in_header(int a, unsigned b) { return a < b; }
