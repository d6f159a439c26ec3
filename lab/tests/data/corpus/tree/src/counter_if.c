#if __COUNTER__ == 0
int zero;
#endif
#if __COUNTER__ == 1
int one;
#endif
int value = __COUNTER__;
