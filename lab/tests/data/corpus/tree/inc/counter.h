#define UNIQUE_(a, b) a##b
#define UNIQUE2(a, b) UNIQUE_(a, b)
#define UNIQUE(name) UNIQUE2(name, __COUNTER__)
static int UNIQUE(header_) = __COUNTER__;
