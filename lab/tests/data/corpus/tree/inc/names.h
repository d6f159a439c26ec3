static const char *const header_names[] = { __FILE__, __BASE_FILE__ };
static inline int header_level(void) { return __INCLUDE_LEVEL__ + __LINE__; }
