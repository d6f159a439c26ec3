#include <map>
#include <string>
#include <vector>
std::map<std::string, std::vector<int>> index_of(const std::vector<std::string> &words)
{
    std::map<std::string, std::vector<int>> found;
    int at = 0;
    for (const auto &word : words) found[word].push_back(at++);
    return found;
}
