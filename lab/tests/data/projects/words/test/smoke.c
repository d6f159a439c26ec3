#include <stdio.h>

#include "words/words.h"

int main(void) {
    struct words *words = words_new();
    if (words_read(words, "the cat and the dog and a cat") != 3 || words_count(words, "cat") != 2)
        return 1;
    words_free(words);
    puts("all checks passed");
    return 0;
}
