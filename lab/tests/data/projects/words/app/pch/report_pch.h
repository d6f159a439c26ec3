#include <map>
#include <string>
#include <algorithm>
