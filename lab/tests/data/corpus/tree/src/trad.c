#define STRINGED(x) "x"
#define JOIN(a, b) a/**/b
int JOIN(ab, cd) = 1;
char *t = STRINGED(text);
