static inline int tiny(int x) { return x * 2; }
