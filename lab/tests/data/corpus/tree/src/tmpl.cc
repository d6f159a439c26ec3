#include "tmpl.h"
using namespace shapes;
static int count;
int use(int n)
{
    DEFER(count++);
    ring<int, 4> a;
    ring<double, 3> b;
    a.push(n); a.push(n + 1); b.push(2.5);
    auto half = [n](auto v) { return v / 2 + n; };
    return half(a.total()) + half(b.total());
}
int main() { try { return use(1) ? 0 : 1; } catch (...) { throw; } }
