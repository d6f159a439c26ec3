/* Counts the words of a text. */
#ifndef WORDS_WORDS_H
#define WORDS_WORDS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct words;

struct words *words_new(void);
void words_free(struct words *words);

/* Returns the number of words read, without those too common to count. */
size_t words_read(struct words *words, const char *text);
size_t words_count(const struct words *words, const char *word);

/* A word of the list of common words. */
int words_is_common(const char *word);

const char *words_version(void);

#ifdef __cplusplus
}
#endif

#endif
