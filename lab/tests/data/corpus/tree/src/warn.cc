#include "plain.h"
#include <initializer_list>
#define NEVER_USED 7
#define LOOP(n) for (int i = 0; i < n; i++)
struct base { virtual void f(int); virtual ~base() {} };
struct derived : base { void f(double); int b, a; derived() : a(1), b(2) {} };
bool f(unsigned n, std::initializer_list<int> list)
{
    int hidden = 1;
    LOOP(n) { int hidden = i; (void)hidden; }
    return list.size() < -1 || hidden;
}
