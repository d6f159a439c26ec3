int charset = 1; const char *s = "gr\xfc\xdfe";
const char *t = "umlaut ü";
