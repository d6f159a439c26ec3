#include <iostream>
#include <iterator>

#include "report.h"

int main(int argc, char **argv) {
    if (argc > 1 && std::string(argv[1]) == "--version") {
        std::cout << words_version() << '\n';
        return 0;
    }
    std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    Report report(text);
    std::cout << report.total() << ' ' << report.most_frequent() << '\n';
}
