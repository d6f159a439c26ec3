#include "report.h"

#include <algorithm>
#include <sstream>

Report::Report(const std::string &text) : words_(words_new()), total_(words_read(words_, text.c_str())) {
    std::istringstream stream(text);
    for (std::string word; stream >> word;)
        counts_[word] = words_count(words_, word.c_str());
}

Report::~Report() { words_free(words_); }

std::string Report::most_frequent() const {
    auto less = [](const auto &a, const auto &b) { return a.second < b.second; };
    auto found = std::max_element(counts_.begin(), counts_.end(), less);
    return found == counts_.end() ? std::string() : found->first;
}
