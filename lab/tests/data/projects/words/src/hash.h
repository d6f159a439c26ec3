#ifndef HASH_H
#define HASH_H

#define LONGEST_WORD 63

unsigned hash(const char *text);

#endif
