#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

#define TABLE_SIZE 64

struct entry {
    struct entry *next;
    size_t count;
    char word[];
};

struct table {
    struct entry *heads[TABLE_SIZE];
};

void table_add(struct table *table, const char *word);
size_t table_get(const struct table *table, const char *word);
void table_clear(struct table *table);

#endif
