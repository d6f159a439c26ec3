#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifdef HAVE_UNISTD_H
#include <unistd.h>
#endif

#include "words/words.h"

#ifndef WORDS_VERSION
#define WORDS_VERSION "0"
#endif

const char *words_version(void) {
    return WORDS_VERSION " of " __DATE__ " at " __TIME__ " from " __FILE__;
}
