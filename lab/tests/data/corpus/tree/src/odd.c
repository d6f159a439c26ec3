%:define GLUE(a, b) a%:%:b
int GLUE(ze, ro) <:2:> = <% 0, 1 %>;
int con\
tinued = 1; // a comment \
that goes on
int größe = 2;
int \u00fcber = 3;
const char *text = "tab\there ünïcödé" /* comment */ " and\
 more";
#define VARIADIC(fmt, ...) call(fmt __VA_OPT__(,) __VA_ARGS__)
int call(const char *, ...);
int f(void) { return VARIADIC("x") + VARIADIC("y", 1, 2); }
