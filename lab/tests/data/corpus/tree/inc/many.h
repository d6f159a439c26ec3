#define ONLY_MACROS 1
int declared_but_not_wanted(void);
