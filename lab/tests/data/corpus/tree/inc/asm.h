#define VALUE 7
#define MOVE(to, what) mov $what, to
