static int z __attribute__((unused));
int deprecated_use(void);
__attribute__((deprecated("old"))) int old(void);
int deprecated_use(void) { return old(); }
