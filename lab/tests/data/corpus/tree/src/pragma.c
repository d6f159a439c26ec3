#pragma pack(push, 1)
struct packed { char c; int i; };
#pragma pack(pop)
#define VALUE 1
#pragma push_macro("VALUE")
#undef VALUE
#define VALUE 2
int two = VALUE;
#pragma pop_macro("VALUE")
int one = VALUE;
#pragma weak maybe
extern int maybe(void);
#define QUIET _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wunused-variable\"")
#define LOUD _Pragma("GCC diagnostic pop")
int f(void) { QUIET int unused; LOUD return sizeof(struct packed) + (maybe ? maybe() : 0); }
#pragma GCC visibility push(hidden)
int hidden(void) { return VALUE; }
#pragma GCC visibility pop
