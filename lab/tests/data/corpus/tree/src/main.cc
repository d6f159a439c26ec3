#include "tmpl.h"
extern int use(int);
extern "C" int walk(const char *);
int other() { shapes::ring<long, 2> r; r.push(3L); return (int)r.total(); }
