#include <stdio.h>
int plugin_is_GPL_compatible;
int plugin_init(void *info, void *version)
{
    (void)info, (void)version;
    FILE *file = fopen("plugin.was.here", "w");
    if (file) { fputs("yes\n", file); fclose(file); }
    return 0;
}
