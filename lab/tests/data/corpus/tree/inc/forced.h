#define FORCED(x) ((x) + 40)
