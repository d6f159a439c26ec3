#pragma GCC push_options
#pragma GCC target("avx2")
#ifdef __AVX2__
int fast(int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
#endif
#pragma GCC pop_options
#ifdef __AVX2__
int leaked;
#endif
__attribute__((target("sse4.2"))) int other(int x) { return __builtin_popcount(x); }
