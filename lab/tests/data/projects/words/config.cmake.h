#cmakedefine HAVE_UNISTD_H
#cmakedefine HAVE_NO_SUCH_HEADER
#cmakedefine HAVE_STRTOULL
#cmakedefine HAVE_STRNDUP
#cmakedefine HAVE_POPCOUNT
#cmakedefine HAVE_NONSENSE
#cmakedefine HAVE_NO_SUCH_WARNING
#define SIZEOF_LONG_DOUBLE @LONG_DOUBLE@
#define WORDS_VERSION "@PROJECT_VERSION@ (CMake)"
