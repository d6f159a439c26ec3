#include "table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../../hash.h"

static struct entry *find(const struct table *table, const char *word) {
    struct entry *entry = table->heads[hash(word) % TABLE_SIZE];
    while (entry && strcmp(entry->word, word) != 0)
        entry = entry->next;
    return entry;
}

void table_add(struct table *table, const char *word) {
    struct entry *entry = find(table, word);
    if (!entry) {
        struct entry **head = &table->heads[hash(word) % TABLE_SIZE];
        size_t length = strlen(word) + 1;
        entry = malloc(sizeof *entry + length);
        assert(entry);
        memcpy(entry->word, word, length);
        entry->count = 0;
        entry->next = *head;
        *head = entry;
    }
    entry->count++;
}

size_t table_get(const struct table *table, const char *word) {
    const struct entry *entry = find(table, word);
    return entry ? entry->count : 0;
}

void table_clear(struct table *table) {
    for (size_t i = 0; i < TABLE_SIZE; i++)
        while (table->heads[i]) {
            struct entry *entry = table->heads[i];
            table->heads[i] = entry->next;
            free(entry);
        }
}
