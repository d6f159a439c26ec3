int sub(void) { return 1; }
