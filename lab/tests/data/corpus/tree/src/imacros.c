int m = ONLY_MACROS;
