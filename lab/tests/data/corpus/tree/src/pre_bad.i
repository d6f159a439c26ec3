#include "plain.h"
int bad = __DATE_;
