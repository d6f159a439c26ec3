#include "words/words.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "table.h"

struct words {
    struct table table;
};

struct words *words_new(void) {
    struct words *words = calloc(1, sizeof *words);
    assert(words);
    return words;
}

void words_free(struct words *words) {
    if (words)
        table_clear(&words->table);
    free(words);
}

size_t words_read(struct words *words, const char *text) {
    size_t count = 0;
    char word[LONGEST_WORD + 1];
    size_t length = 0;
    for (;; text++) {
        if (isalpha((unsigned char)*text) && length < LONGEST_WORD) {
            word[length++] = (char)tolower((unsigned char)*text);
            continue;
        }
        if (length) {
            word[length] = '\0';
            length = 0;
            if (!words_is_common(word)) {
                table_add(&words->table, word);
                count++;
            }
        }
        if (!*text)
            return count;
    }
}

size_t words_count(const struct words *words, const char *word) {
    return table_get(&words->table, word);
}
