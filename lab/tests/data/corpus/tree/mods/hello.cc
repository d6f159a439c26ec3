export module hello;
export int greet(int x) { return x + 1; }
