# rafter's build. `make` builds ./rafter, librafter.a and librafter.so; `make help` lists the targets.
#
# Sources are found by wildcard: a new file in a room of src/, in tests/unit, tests/cli, tests/bench, tests/fuzz or
# examples/ needs no change here. Nothing here calls a compiler or pkg-config before a recipe runs, because `make
# demo` and `make test` start on machines that have neither and install them first (scripts/setup).

SHELL = /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.DEFAULT_GOAL := all

# All cores, each target's output in one piece. `make -j1` wins over this.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2) --output-sync=target
endif
MAKEFLAGS += --no-print-directory --no-builtin-rules

# Where things go. The sanitizer and fuzz builds are this file again with other values.
BUILD ?= build
PROGRAM ?= rafter
LIBRARY ?= librafter.a
SHARED ?= librafter.so

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man

ifeq ($(origin CC),default)
CC = gcc
endif
LD ?= ld
OBJCOPY ?= objcopy
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
FUZZ_SECONDS ?= 30
# A CI build has no warnings.
ifneq ($(CI),)
WERROR ?= 1
endif

PACKAGES := gsl yaml-0.1 jansson cairo
# Asked once, when a recipe first needs it.
PACKAGE_CFLAGS = $(eval PACKAGE_CFLAGS := $$(shell $(PKG_CONFIG) --cflags $(PACKAGES)))$(PACKAGE_CFLAGS)
PACKAGE_LIBS = $(eval PACKAGE_LIBS := $$(shell $(PKG_CONFIG) --libs $(PACKAGES)))$(PACKAGE_LIBS)
CRITERION_CFLAGS = $(eval CRITERION_CFLAGS := $$(shell $(PKG_CONFIG) --cflags criterion))$(CRITERION_CFLAGS)
CRITERION_LIBS = $(eval CRITERION_LIBS := $$(shell $(PKG_CONFIG) --libs criterion))$(CRITERION_LIBS)

CPPFLAGS += -Iinclude -Isrc -D_GNU_SOURCE
WARNINGS = -Wall -Wextra -Wpedantic -Wshadow $(if $(filter 1,$(WERROR)),-Werror)
# Not -ffast-math: NaN and infinity are refused by tests of their value. errno of log and sqrt is never read.
# -fPIC: the same objects go into the program, the archive and the shared library.
LANGUAGE = -std=c17 -fno-math-errno -fPIC
OPENMP ?= -fopenmp
SANITIZER = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
COMPILE = $(CC) $(LANGUAGE) $(CPPFLAGS) $(PACKAGE_CFLAGS) $(WARNINGS) $(CFLAGS) $(OPENMP) $(SANITIZER)
LIBS = $(PACKAGE_LIBS) -lm

SOURCES := $(wildcard src/*/*.c src/*/*/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
MAIN := $(BUILD)/src/main.o
API_OBJECTS := $(filter $(BUILD)/src/api/%,$(OBJECTS))
INTERNAL := $(BUILD)/internal.a
MANUAL := $(BUILD)/man
# The binary interface's number: librafter.so.N
ABI = $(shell sed -n 's/^.define RAFTER_ABI_VERSION //p' include/rafter.h)

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*.c))
SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(wildcard tests/bench/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/*.c))
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))

# One line a command; V=1 shows all of it.
Q := $(if $(V),,@)
say = $(if $(V),:,printf '  %-8s %s\n' '$1' '$2')

## Targets that people use

.PHONY: all
all: $(PROGRAM) $(LIBRARY) $(SHARED)

.PHONY: help
help:
	@printf '%s\n' \
	  'make            build ./rafter, librafter.a and librafter.so' \
	  'make demo       install what is missing, build, answer one question, draw one chart' \
	  'make test       install what is missing, build, run every test; T="gemm cli/rooms" runs these suites' \
	  'make asan       all tests in a build with address and undefined-behaviour sanitizers; T= as above' \
	  'make golden     rewrite golden outputs, README.md and docs/ from what rafter says, run the tests' \
	  'make gallery    draw the charts of docs/gallery.md again' \
	  'make bench      build and run the benchmarks' \
	  'make validate   predictions against measured times: this machine, and the suites whose samples are there' \
  'make validate-executor   the executor on this machine against its predictions, a short matrix' \
	  'make fuzz       run each fuzz target for FUZZ_SECONDS (30)' \
	  'make examples   build examples/ against include/rafter.h and librafter.a' \
	  'make lint       clang-format (check only), clang-tidy, cppcheck on all files' \
	  'make lint-changed BASE=rev   the same on files changed since rev (default: where the branch left origin/main)' \
	  'make format     reformat all C files' \
	  'make setup      install the Debian packages for building and testing' \
	  'make man        write the manual into build/man, from the help texts and rafter.h' \
  'make install    into PREFIX (/usr/local), or BINDIR, LIBDIR, INCLUDEDIR, DATADIR, MANDIR, under DESTDIR' \
  'make uninstall  remove what make install put there, given the same places' \
	  'make clean      remove what was built' \
	  '' \
	  'V=1 shows whole commands; WERROR=1 (set when CI is) makes warnings errors; CC and CFLAGS are yours.'

.PHONY: setup setup-build setup-test setup-lint setup-fuzz
setup setup-test:
	+@scripts/setup build test
setup-build:
	+@scripts/setup build
setup-lint:
	+@scripts/setup build test lint
setup-fuzz:
	+@scripts/setup build fuzz

# The second make sees the compiler that the first one installed.
.PHONY: demo test golden asan bench fuzz validate validate-executor
demo: setup-build
	+@$(MAKE) all
	+@scripts/demo ./$(PROGRAM) $(BUILD)
test: setup-test
	+@$(MAKE) run-tests
golden: setup-test
	+@$(MAKE) all
	@scripts/readme
	@scripts/record-executor
	+@RAFTER_UPDATE_GOLDEN=1 $(MAKE) run-tests
asan: setup-test
	+@$(MAKE) run-tests BUILD=build/asan PROGRAM=build/asan/rafter LIBRARY=build/asan/librafter.a \
	  SHARED=build/asan/librafter.so SANITIZE=address,undefined CFLAGS='-O1 -g'
bench: setup-build
	+@$(MAKE) run-benches
validate: setup-build
	+@$(MAKE) all
	@RAFTER='./$(PROGRAM)' scripts/validate-executor $(BUILD) validation/executor/matrix.yaml
	@RAFTER_PATH='$(CURDIR)' ./$(PROGRAM) validate suite validation/*.yaml
validate-executor: setup-build
	+@$(MAKE) all
	@RAFTER='./$(PROGRAM)' scripts/validate-executor $(BUILD) validation/executor/short.yaml --quick
fuzz: setup-fuzz
	+@$(MAKE) run-fuzzers BUILD=build/fuzz PROGRAM=build/fuzz/rafter LIBRARY=build/fuzz/librafter.a CC=clang \
	  SHARED=build/fuzz/librafter.so SANITIZE=fuzzer-no-link,address,undefined OPENMP=-fopenmp=libgomp CFLAGS='-O1 -g'

.PHONY: gallery
gallery: setup-build
	+@$(MAKE) all
	@scripts/gallery

.PHONY: lint lint-changed format
lint: setup-lint
	+@LINT_FLAGS="$$($(MAKE) -s print-lint-flags)" scripts/lint all
lint-changed: setup-lint
	+@LINT_FLAGS="$$($(MAKE) -s print-lint-flags)" scripts/lint changed $(BASE)
format:
	+@scripts/setup lint
	@scripts/lint format

.PHONY: examples man install uninstall clean
examples: $(EXAMPLES)
man: $(MANUAL)/rafter.1

PLACES = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' BINDIR='$(BINDIR)' LIBDIR='$(LIBDIR)' INCLUDEDIR='$(INCLUDEDIR)' \
  DATADIR='$(DATADIR)' MANDIR='$(MANDIR)'
install: all man
	@$(PLACES) PACKAGES='$(PACKAGES)' ABI='$(ABI)' scripts/install $(PROGRAM) $(LIBRARY) $(SHARED) $(MANUAL)
uninstall:
	@$(PLACES) scripts/install --undo

clean:
	rm -rf build rafter librafter.a librafter.so

## Building

$(PROGRAM): $(MAIN) $(INTERNAL) $(BUILD)/flags
	@$(call say,link,$@)
	$(Q)$(COMPILE) -o $@ $(MAIN) $(INTERNAL) $(LIBS)

# What users link: one object in which only RAFTER_API names are left global, so that ours cannot clash with theirs.
$(LIBRARY): $(INTERNAL)
	@$(call say,library,$@)
	$(Q)$(LD) -r -o $(BUILD)/librafter.o $(API_OBJECTS) $(INTERNAL)
	$(Q)$(OBJCOPY) --localize-hidden $(BUILD)/librafter.o
	$(Q)rm -f $@ && ar rcs $@ $(BUILD)/librafter.o

# The same for the dynamic linker; a sanitizer's run time is left for the program to bring.
$(SHARED): $(INTERNAL)
	@$(call say,library,$@)
	$(Q)$(COMPILE) -shared -Wl,-soname,librafter.so.$(ABI) $(if $(SANITIZE),,-Wl,-z,defs) -Wl,--as-needed -o $@ \
	  $(API_OBJECTS) $(INTERNAL) $(LIBS)

# What the program and the tests link: the plain objects, internals visible.
$(INTERNAL): $(OBJECTS) $(BUILD)/sources
	@$(call say,archive,$@)
	$(Q)rm -f $@ && ar rcs $@ $(OBJECTS)

$(BUILD)/src/%.o: src/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@$(call say,cc,$<)
	$(Q)$(COMPILE) $(DATA_DIR) -fvisibility=hidden -MMD -MP -c -o $@ $<

# The one file that knows where things are installed: another PREFIX rebuilds nothing else.
$(BUILD)/src/spec/catalogue_find.o: $(BUILD)/places
$(BUILD)/src/spec/catalogue_find.o: private DATA_DIR = -DRAFTER_DATA_DIR='"$(DATADIR)/rafter"'

$(MANUAL)/rafter.1: $(PROGRAM) $(BUILD)/places include/rafter.h scripts/man $(wildcard man/*)
	@$(call say,man,$(@D))
	$(Q)DATADIR='$(DATADIR)' scripts/man $(PROGRAM) $(@D)

TEST_COMPILE = $(COMPILE) -Itests -DSOURCE_DIR='"$(CURDIR)"' -MMD -MP

$(BUILD)/tests/support/%.o: tests/support/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@$(call say,cc,$<)
	$(Q)$(TEST_COMPILE) $(CRITERION_CFLAGS) -c -o $@ $<

$(BUILD)/tests/unit/%: tests/unit/%.c $(SUPPORT) $(INTERNAL)
	@mkdir -p $(@D)
	@$(call say,test,$<)
	$(Q)$(TEST_COMPILE) $(CRITERION_CFLAGS) -MF $@.d -o $@ $< $(SUPPORT) $(INTERNAL) $(LIBS) $(CRITERION_LIBS)

$(BUILD)/tests/bench/%: tests/bench/%.c $(INTERNAL)
	@mkdir -p $(@D)
	@$(call say,bench,$<)
	$(Q)$(TEST_COMPILE) -MF $@.d -o $@ $< $(filter %.o,$^) $(INTERNAL) $(LIBS)
# Support that a benchmark shares with tests.
$(BUILD)/tests/bench/exec_attention: $(BUILD)/tests/support/attention_case.o
$(BUILD)/tests/bench/exec_gemm $(BUILD)/tests/bench/exec_run: $(BUILD)/tests/support/other_gemm.o

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(INTERNAL)
	@mkdir -p $(@D)
	@$(call say,fuzz,$<)
	$(Q)$(TEST_COMPILE) -fsanitize=fuzzer -MF $@.d -o $@ $< $(INTERNAL) $(LIBS)

# As a user would: the public header and the library, nothing of src/.
$(BUILD)/examples/%: examples/%.c include/rafter.h $(LIBRARY)
	@mkdir -p $(@D)
	@$(call say,example,$<)
	$(Q)$(CC) -std=c17 $(WARNINGS) $(CFLAGS) $(SANITIZER) -Iinclude -o $@ $< $(LIBRARY) $(LIBS) $(OPENMP)

# Rewritten only when they change: other flags, or a source that came or went, must rebuild what depends on them.
.PHONY: force need
force:
need:
	@scripts/need '$(CC)' '$(PKG_CONFIG)' $(PACKAGES)
$(BUILD):
	@mkdir -p $@
$(BUILD)/flags: force | $(BUILD) need
	$(file >$@.new,$(COMPILE))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(BUILD)/sources: force | $(BUILD)
	$(file >$@.new,$(OBJECTS))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(BUILD)/places: force | $(BUILD)
	$(file >$@.new,$(DATADIR))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

-include $(OBJECTS:.o=.d) $(MAIN:.o=.d) $(SUPPORT:.o=.d) $(addsuffix .d,$(UNIT_TESTS) $(BENCHES) $(FUZZERS))

## Running, once the packages are there

.PHONY: run-tests run-benches run-fuzzers $(FUZZERS:%=run-%) print-lint-flags
run-tests: $(PROGRAM) $(LIBRARY) $(SHARED) $(UNIT_TESTS) $(EXAMPLES)
	+@CC='$(CC)' EXAMPLE_FLAGS='$(strip $(WARNINGS) $(CFLAGS) $(SANITIZER))' \
	  EXAMPLE_LIBS='$(strip $(LIBRARY) $(LIBS) $(OPENMP))' \
	  RAFTER='$(CURDIR)/$(PROGRAM)' RAFTER_SHARED='$(CURDIR)/$(SHARED)' RAFTER_BUILD='$(BUILD)' scripts/run-tests $(BUILD) $(T)

run-benches: $(PROGRAM) $(BENCHES)
	+@for bench in $(BENCHES); do RAFTER='$(CURDIR)/$(PROGRAM)' $$bench || exit 1; done

run-fuzzers: $(FUZZERS:%=run-%)
	@echo "fuzz: $(words $(FUZZERS)) targets, $(FUZZ_SECONDS) s each, no crash"

$(FUZZERS:%=run-%): run-$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%
	+@scripts/fuzz $< $* $(BUILD) $(FUZZ_SECONDS)

# For a shell to read: the quotes stay.
print-lint-flags:
	@: $(info $(LANGUAGE) $(CPPFLAGS) $(PACKAGE_CFLAGS) -Itests -DSOURCE_DIR='"$(CURDIR)"')
