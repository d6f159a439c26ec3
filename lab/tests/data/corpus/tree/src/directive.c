#if 1
#warning this is a warning
#endif
#ifdef STOP
#error this is the end
#endif
#if 0
#endif extra
int x;
