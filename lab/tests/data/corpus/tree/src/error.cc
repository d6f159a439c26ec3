template <class T, int N> struct box { T t[N]; T &at(int i) { return t[i]; } static_assert(N > 0, "empty box"); };
template <class T> auto sum(const T &t) { return t.first + t.second; }
struct pair { int first; pair *second; };
int f() { box<int, 0> b; return b.at(0) + sum(pair{}) + sum(3); }
