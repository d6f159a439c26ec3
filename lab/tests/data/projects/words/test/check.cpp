#include <cstdlib>
#include <iostream>

#include "../app/report.h"

#define CHECK(condition)                                                              \
    if (!(condition)) {                                                               \
        std::cerr << __FILE__ << ':' << __LINE__ << ": " << #condition << '\n';       \
        return EXIT_FAILURE;                                                          \
    }

#ifdef WARNING
static int unused(int x) { return x + 1; }
#endif

int main() {
    Report report("the cat and the dog and a cat");
    CHECK(report.total() == 3);
    CHECK(report.most_frequent() == "cat");
    CHECK(words_is_common("the"));
    std::cout << "all checks passed\n";
    return EXIT_SUCCESS;
}
