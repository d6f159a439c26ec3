#pragma once

#include <map>
#include <string>

#include "words/words.h"

class Report {
  public:
    explicit Report(const std::string &text);
    ~Report();
    Report(const Report &) = delete;
    Report &operator=(const Report &) = delete;

    std::size_t total() const { return total_; }
    std::string most_frequent() const;

  private:
    words *words_;
    std::size_t total_;
    std::map<std::string, std::size_t> counts_;
};
