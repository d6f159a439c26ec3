#ifndef PLAIN_H
#define PLAIN_H
#define TWICE(x) ((x) + (x))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
typedef struct point { int x, y; } point;
static inline int area(point p) { return TWICE(p.x) * p.y; }
extern int walk(const char *path);
#endif
