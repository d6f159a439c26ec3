# As people write them by hand: one rule for all objects, dependency files beside them.
SOURCE ?= ../source
CC = gcc
CXX = g++
CPPFLAGS = -I$(SOURCE)/include -I$(SOURCE)/src -I$(SOURCE)/src/deep/down -I. -DWORDS_VERSION='"1.2 (make)"'
CFLAGS = -std=c11 -O2 -g -Wall -Wextra -Werror
CXXFLAGS = -std=c++17 -O2 -g -Wall -Wextra -Werror
DEPENDENCIES = -MMD -MP

LIBRARY = obj/src/words.o obj/src/hash.o obj/src/common.o obj/src/version.o obj/src/deep/down/table.o
PROGRAM = obj/app/main.o obj/app/report.o
TEST = obj/test/check.o obj/app/report.o
TOOL = obj/tool/make_table.o obj/src/hash.o

all: words check libwords.so

libwords.a: $(LIBRARY)
	$(AR) rcD $@ $^

libwords.so: $(LIBRARY:.o=.lo)
	$(CC) -shared -o $@ $^

words: $(PROGRAM) libwords.a
	$(CXX) -o $@ $^

check: $(TEST) libwords.a
	$(CXX) -o $@ $^

make_table: $(TOOL)
	$(CC) -o $@ $^

common_words.h: make_table $(SOURCE)/data/common.txt
	./make_table $(SOURCE)/data/common.txt $@

obj/src/common.o obj/src/common.lo: common_words.h

obj/%.o: $(SOURCE)/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPENDENCIES) -c -o $@ $<

obj/%.lo: $(SOURCE)/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPENDENCIES) -MF $(@:.lo=.lo.d) -fPIC -c -o $@ $<

obj/%.o: $(SOURCE)/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) $(DEPENDENCIES) -c -o $@ $<

test: check
	./check

.PHONY: all test
-include $(LIBRARY:.o=.d) $(LIBRARY:.o=.lo.d) $(PROGRAM:.o=.d) $(TEST:.o=.d) $(TOOL:.o=.d)
