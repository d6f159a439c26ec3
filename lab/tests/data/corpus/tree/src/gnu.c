int extended(int x) { return ({ int y = x; y ?: 3; }) + (int){1}; }
long long big = 1LL; // slash
struct { int a[0]; } zero;
;
