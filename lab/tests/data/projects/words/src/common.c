#include <string.h>

#include "common_words.h"
#include "hash.h"
#include "words/words.h"

int words_is_common(const char *word) {
    unsigned wanted = hash(word);
    for (unsigned i = 0; i < COMMON_WORDS; i++)
        if (common_words[i].hash == wanted && strcmp(common_words[i].text, word) == 0)
            return 1;
    return 0;
}
