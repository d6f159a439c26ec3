/* Writes the header with the common words: make_table WORDS HEADER. */
#include <stdio.h>
#include <string.h>

#include "../src/hash.h"

int main(int argc, char **argv) {
    char line[128];
    unsigned count = 0;
    FILE *in = argc == 3 ? fopen(argv[1], "r") : NULL;
    FILE *out = in ? fopen(argv[2], "w") : NULL;
    if (!out) {
        fprintf(stderr, "make_table: cannot read or write\n");
        return 1;
    }
    fprintf(out, "static const struct { unsigned hash; const char *text; } common_words[] = {\n");
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        fprintf(out, "    {%uu, \"%s\"},\n", hash(line), line);
        count++;
    }
    fprintf(out, "};\n#define COMMON_WORDS %uu\n", count);
    return fclose(out) != 0;
}
