#define SYS_EXPAND(x) ((unsigned)(x) > -1)
#define SYS_SHADOW(v) ({ int v = 1; v; })
