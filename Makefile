# ec2sweep: `make help` lists what can be asked for.
#
# Every flavour has a tree of its own, build/<flavour>/, so that objects made
# with other flags never mix:
#   dev       optimised, the distribution's shared libraries (the default)
#   asan      address and undefined-behaviour sanitizers: what `make test` runs
#   valgrind  optimised and plain, for valgrind
#   cov       instrumented for gcov
#   gcc clang warnings are errors, with this compiler
#   analyze   gcc's static analyser
#   fuzz      clang's sanitizers, instrumented for libFuzzer
#   release   static libraries built from source: third_party/release.mk
#   pinned    as asan, with the libraries of the release: tests of net/
#
# Variables: CC, CFLAGS (added last), WERROR=1, V=1 (show commands),
# ARCH=arm64 or x86_64 (release, package, test-release: for which Lambda),
# EVENT=file (demo), T="pytest arguments" (test, conformance), T=seconds for
# each target (fuzz).

VERSION := 0.1.0

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := /bin/bash

# --- what there is ----------------------------------------------------------

LIB_SRCS := $(sort $(shell find src -name '*.c' 2>/dev/null))
SRCS := $(LIB_SRCS) $(wildcard bootstrap.c)
HEADERS := $(sort $(shell find include -name '*.h' 2>/dev/null))
ROOTS := $(wildcard third_party/roots/*.pem)

# A double that defines the same names as a module replaces it in some tests
# only, so it is not among the helpers that every test may draw on.
FAKE_HTTP := test/support/fake_http
FAIL_ALLOC := test/support/fail_alloc
TEST_HELPERS := $(filter-out $(FAKE_HTTP).c $(FAIL_ALLOC).c,\
	$(wildcard test/support/*.c))
UNIT_TESTS := $(patsubst test/%.c,%,$(sort $(wildcard test/test_*.c) \
	$(foreach d,base net aws survey lambda,$(wildcard test/$(d)/test_*.c))))

# Tests that must not touch a socket: linked with the double of net/http.
FAKE_HTTP_TESTS := aws/test_client aws/test_ec2 aws/test_spread \
	survey/test_sweep survey/test_atlas survey/test_ahead \
	lambda/test_handler lambda/test_runtime

-include test/support/ec2sim/ec2sim.mk
FUZZERS := $(patsubst test/fuzz/%.c,%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
PRELOAD := test/support/preload/fail_alloc
ALL_C := $(SRCS) $(UNIT_TESTS:%=test/%.c) $(wildcard test/support/*.c) \
	$(PRELOAD).c test/conformance/sign.c $(wildcard test/fuzz/*.c) $(EC2SIM_SRCS) $(wildcard bench/*/*.c)
FMT_FILES = $(sort $(ALL_C) $(HEADERS) \
	$(shell find test bench -name '*.[ch]' -not -path '*/fixtures/*' \
		2>/dev/null))

# --- flags ------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wwrite-strings -Wcast-qual -Wpointer-arith -Wundef -Wvla -Wformat=2 \
	-Wnull-dereference -Wimplicit-fallthrough
WARN_GCC := -Wduplicated-cond -Wduplicated-branches -Wlogical-op
cstd = -std=c17 -D_DEFAULT_SOURCE $(WARN) \
	$(if $(findstring clang,$(1))$(findstring zig,$(1)),,$(WARN_GCC)) $(if $(WERROR),-Werror)
CSTD_FLAGS = $(call cstd,$(CC))
CPPFLAGS += -Iinclude
DEFINE_VERSION := -DEC2SWEEP_VERSION='"$(VERSION)"'

# Asked of pkg-config when first used, because `make test` may install it.
PKGS := libcurl openssl libxml-2.0 jansson zlib
pkg = $(if $(2),$(shell pkg-config $(1) $(2)))
LIB_CFLAGS = $(eval LIB_CFLAGS := $(patsubst -I%,-isystem %,$(call \
	pkg,--cflags,$(PKGS))))$(LIB_CFLAGS)
LIB_LIBS = $(eval LIB_LIBS := $(call pkg,--libs,$(PKGS)))$(LIB_LIBS)
SIM_CFLAGS = $(eval SIM_CFLAGS := $(patsubst -I%,-isystem %,$(call \
	pkg,--cflags,$(EC2SIM_PKGS))))$(SIM_CFLAGS)
SIM_LIBS = $(eval SIM_LIBS := $(call pkg,--libs,$(EC2SIM_PKGS)))$(SIM_LIBS)

WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer

FLAVOURS := dev asan pinned valgrind cov gcc clang analyze fuzz
FLAGS_dev := -O2 -g
FLAGS_asan := -O1 -g $(SANITIZE)
FLAGS_pinned := -O1 -g $(SANITIZE) -Werror
FLAGS_valgrind := -O2 -g
FLAGS_cov := -O0 -g --coverage
FLAGS_gcc := -O2 -Werror
FLAGS_clang := -O2 -Werror
FLAGS_analyze := -O1 -g -fanalyzer -Werror -include scripts/analyzer.h
FLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link $(SANITIZE)
CC_gcc := gcc
CC_clang := clang
CC_fuzz := clang
CC_analyze := gcc
cc = $(or $(CC_$(1)),$(CC))
lib_cflags = $(or $(LIB_CFLAGS_$(1)),$(LIB_CFLAGS))
lib_libs = $(or $(LIB_LIBS_$(1)),$(LIB_LIBS))

Q := $(if $(V),,@)
say = @printf '  %-7s %s\n' '$(1)' '$(2)'

# --- from sources to programs -----------------------------------------------

# $(call keep,TEXT): writes TEXT to $@ only if that changes it, so that what
# depends on it is made again only then.
define keep
$(shell mkdir -p $(@D))$(file >$@.new,$(1))
@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
endef

.PHONY: FORCE
FORCE:

build/%/gen/roots.c: $(ROOTS) scripts/roots-to-c.sh
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$(Q)scripts/roots-to-c.sh $(ROOTS) >$@

define flavour_rules
LIB_OBJS_$(1) := $(LIB_SRCS:%.c=build/$(1)/obj/%.o) \
	$(if $(ROOTS),build/$(1)/obj/roots.o)
compile_$(1) = $$(call cc,$(1)) $$(call cstd,$$(call cc,$(1))) $$(CPPFLAGS) \
	$$(FLAGS_$(1)) $$(call lib_cflags,$(1)) $$(CFLAGS)
link_$(1) = $$(call cc,$(1)) $$(FLAGS_$(1)) $$(CFLAGS) $$(LDFLAGS)

build/$(1)/flags: FORCE
	$$(call keep,$$(compile_$(1)) $$(SIM_CFLAGS) $$(LDFLAGS) $$(VERSION))

build/$(1)/objects: FORCE
	$$(call keep,$$(LIB_OBJS_$(1)))

build/$(1)/obj/bootstrap.o build/$(1)/obj/src/config.o: \
	CPPFLAGS += $$(DEFINE_VERSION)
build/$(1)/obj/test/%.o: CPPFLAGS += -Itest -Itest/support
build/$(1)/obj/test/support/ec2sim/%.o: CPPFLAGS += $$(SIM_CFLAGS)

build/$(1)/obj/%.o: %.c build/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(compile_$(1)) -MMD -MP -c -o $$@ $$<

build/$(1)/obj/roots.o: build/$(1)/gen/roots.c build/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(compile_$(1)) -MMD -MP -c -o $$@ $$<

build/$(1)/libec2sweep.a: $$(LIB_OBJS_$(1)) build/$(1)/objects
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$(LIB_OBJS_$(1))

build/$(1)/bootstrap: build/$(1)/obj/bootstrap.o build/$(1)/libec2sweep.a
	$$(call say,LINK,$$@)
	$$(Q)$$(link_$(1)) -o $$@ $$^ $$(call lib_libs,$(1))

build/$(1)/libtest.a: $(TEST_HELPERS:%.c=build/$(1)/obj/%.o)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^

build/$(1)/ec2sim: $(EC2SIM_SRCS:%.c=build/$(1)/obj/%.o)
	$$(call say,LINK,$$@)
	$$(Q)$$(link_$(1)) -o $$@ $$^ $$(SIM_LIBS) $$(EC2SIM_LIBS)

tests_$(1) := $(UNIT_TESTS:%=build/$(1)/test/%) \
	$(if $(wildcard bootstrap.c),build/$(1)/bootstrap) \
	$(if $(EC2SIM_SRCS),build/$(1)/ec2sim)

# Every object, for the flavours that only look at the code.
objects_$(1) := $(ALL_C:%.c=build/$(1)/obj/%.o)
endef
$(foreach f,$(FLAVOURS),$(eval $(call flavour_rules,$(f))))

# $(1) flavour, $(2) test such as aws/test_ec2. The double of net/http comes
# before the archive, whose own http.o is then not drawn in.
define test_rule
build/$(1)/test/$(2): build/$(1)/obj/test/$(2).o \
		build/$(1)/obj/$(FAIL_ALLOC).o \
		$(if $(filter $(2),$(FAKE_HTTP_TESTS)),\
			build/$(1)/obj/$(FAKE_HTTP).o) \
		build/$(1)/libtest.a build/$(1)/libec2sweep.a
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(link_$(1)) $$(WRAP) -o $$@ $$(filter %.o,$$^) \
		-Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		$$(call lib_libs,$(1)) $$(LIBS_$(2)) -lcmocka
endef
$(foreach f,asan pinned valgrind cov dev,$(foreach t,$(UNIT_TESTS),\
	$(eval $(call test_rule,$(f),$(t)))))

build/dev/sign: build/dev/obj/test/conformance/sign.o build/dev/libec2sweep.a
	$(call say,LINK,$@)
	$(Q)$(link_dev) -o $@ $^ $(LIB_LIBS)

# Preloaded into a program, it reaches the program's libraries too.
build/dev/fail_alloc.so: $(PRELOAD).c build/dev/flags
	$(call say,LINK,$@)
	$(Q)$(compile_dev) -fPIC -shared -o $@ $<

# The targets need a scripted network and clock, and one another's helpers.
FUZZ_HELPERS := $(FAKE_HTTP).o test/support/fake_clock.o test/support/stage.o \
	$(patsubst %.c,%.o,$(filter-out $(FUZZERS:%=test/fuzz/%.c),\
		$(wildcard test/fuzz/*.c)))

$(FUZZERS:%=build/fuzz/%): build/fuzz/%: build/fuzz/obj/test/fuzz/%.o \
		$(FUZZ_HELPERS:%=build/fuzz/obj/%) build/fuzz/libec2sweep.a
	$(call say,LINK,$@)
	$(Q)$(link_fuzz) -fsanitize=fuzzer -o $@ $^ $(LIB_LIBS) -lcmocka

# It defines what the analyser's header replaces.
build/analyze/obj/src/base/err.o: FLAGS_analyze := -O1 -g -fanalyzer -Werror

-include $(shell find build -name '*.d' 2>/dev/null)
-include third_party/release.mk
-include bench/bench.mk
-include bench/micro/micro.mk
-include bench/handshakes/handshakes.mk

# --- what people ask for ----------------------------------------------------

.PHONY: all help test test-run test-pinned test-release demo demo-run conformance cov
.PHONY: conformance-run schemas dist test-long
all: build/dev/bootstrap ## build/dev/bootstrap, with shared libraries (the default)

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | \
		sort -u | awk -F '\t' '{ printf "  make %-13s %s\n", $$1, $$2 }'

# pytest through the first python3 that has it.
PYTEST = $$(scripts/python.sh) -B -m pytest

# Setting up comes first and make must look at the machine again after it,
# hence the second make.
test: ## every test, under the address and undefined-behaviour sanitizers
	@scripts/setup.sh build test
	@$(MAKE) --no-print-directory test-run

test-run: $(tests_asan)
	@EC2SWEEP_BUILD=build/asan $(PYTEST) $(T)

# Parts of net/ are there with a new libcurl only, and that of the release is.
NET_TESTS := $(filter net/%,$(UNIT_TESTS))
test-pinned: $(NET_TESTS:%=build/pinned/test/%) ## the tests of net/ with the libraries of the release
	@EC2SWEEP_BUILD=build/pinned $(PYTEST) $(NET_TESTS:%=test/%.c) $(T)

# The other architecture's binary answers through qemu, and some tests do.
test-release: $(if $(FOREIGN),build/asan/ec2sim,$(tests_asan)) build/dev/fail_alloc.so $(RELEASE)/bootstrap ## the system tests with the release binary (ARCH=arm64: some, by qemu)
	$(if $(FOREIGN),@scripts/setup.sh test-$(FOREIGN) || true)
	@export EC2SWEEP_BUILD=build/asan EC2SWEEP_BOOTSTRAP=$(RELEASE)/bootstrap; \
	$(if $(FOREIGN),scripts/foreign.sh $(FOREIGN)) \
		$(PYTEST) -m $(if $(FOREIGN),foreign,"not long") test/system $(T)

test-long: build/dev/ec2sim build/dev/fail_alloc.so $(RELEASE)/bootstrap ## 20,000 invocations; each allocation failed once
	@EC2SWEEP_BUILD=build/dev EC2SWEEP_BOOTSTRAP=$(RELEASE)/bootstrap \
		$(PYTEST) -m long test/system $(T)

demo: ## three questions to 34 simulated regions (EVENT=file: your own)
	@scripts/setup.sh build test
	@$(MAKE) --no-print-directory demo-run

demo-run: build/dev/bootstrap build/dev/ec2sim
	@$$(scripts/python.sh) -B scripts/demo.py $(EVENT)

conformance: ## the answers held against moto, boto3, Powertools (needs PyPI)
	@scripts/setup.sh build test
	@$(MAKE) --no-print-directory conformance-run

conformance-run: build/dev/bootstrap build/dev/ec2sim build/dev/sign
	@EC2SWEEP_BUILD=build/dev test/conformance/run.sh $(T)

schemas: ## the schemas made of schema/openapi.yaml (needs PyPI)
	@test/conformance/run.sh --make
	@build/conformance-venv/bin/python -B scripts/schemas.py

cov: $(tests_cov) ## line and branch coverage of the tests, as text
	@find build/cov -name '*.gcda' -delete
	@EC2SWEEP_BUILD=build/cov $(PYTEST) -q $(T)
	@gcovr --root . --filter src/ --filter bootstrap.c build/cov
	@gcovr --root . --filter src/ --filter bootstrap.c --branches build/cov

# What sam build makes, in the project or in a copy of it, by way of
# deploy/<architecture>/Makefile; the name after `build-` is the function's
# logical id in template.yaml.
build-%:
	@[ -n "$(ARTIFACTS_DIR)" ] || { echo >&2 \
		'make $@ is for sam build: ARTIFACTS_DIR is not set'; exit 1; }
	@$(MAKE) --no-print-directory release || { echo >&2 'not built for $(ARCH)' \
		'(the line above says why); a container can, without a compiler:' \
		'docker build --target zips --output dist .'; exit 1; }
	install -m 0755 $(RELEASE)/bootstrap "$(ARTIFACTS_DIR)/bootstrap"

dist: $(RELEASE_ZIP) ## dist/<architecture>: what deploys without a compiler
	@scripts/dist.sh $(RELEASE_ZIP) $(ARCH) dist

# --- checks -----------------------------------------------------------------

.PHONY: check static fmt fmt-check headers layers tidy cppcheck analyze lint
.PHONY: warnings valgrind valgrind-run valgrind-long
check: ## everything: static checks, tests, saved fuzz inputs, valgrind
	@scripts/setup.sh build test check
	@$(MAKE) --no-print-directory static
	@$(MAKE) --no-print-directory test-run
	@$(MAKE) --no-print-directory fuzz-corpus-run
	@$(MAKE) --no-print-directory valgrind-run

static: fmt-check headers layers lint warnings tidy cppcheck analyze ## the checks that run nothing

# One major version, because every version formats a little differently.
CLANG_FORMAT ?= $(or $(shell command -v clang-format-14),clang-format)

fmt: ## format the C code
	$(Q)$(CLANG_FORMAT) -i $(FMT_FILES)

fmt-check: ## is it formatted?
	@$(CLANG_FORMAT) --version | grep -q 'version 14\.' || { \
		echo 'fmt-check: clang-format 14 is needed' >&2; exit 1; }
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(FMT_FILES)
	$(call say,OK,format of $(words $(FMT_FILES)) files)

HEADERS_OK := $(HEADERS:%=build/check/%.ok)
headers: $(HEADERS_OK) ## every header compiles alone
	$(call say,OK,$(words $(HEADERS)) headers compile alone)

$(HEADERS_OK): build/check/%.ok: % $(HEADERS)
	@mkdir -p $(@D)
	$(Q)printf '#include "%s"\nextern int alone;\n' '$(<:include/%=%)' | \
		$(CC) $(CSTD_FLAGS) -Werror $(CPPFLAGS) -fsyntax-only -x c -
	@touch $@

layers: ## include rules, sizes and what is not used (docs/style.md)
	@$$(scripts/python.sh) -B scripts/layers.py

# The code that ships; tests are held to the format, the layers and warnings.
TIDY_OK := $(SRCS:%=build/check/%.tidy)
tidy: $(TIDY_OK) ## clang-tidy, warnings are errors
$(TIDY_OK): build/check/%.tidy: % $(HEADERS) .clang-tidy
	$(call say,TIDY,$<)
	@mkdir -p $(@D)
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $< -- -std=c17 \
		-D_DEFAULT_SOURCE $(CPPFLAGS) $(DEFINE_VERSION) $(LIB_CFLAGS) \
		2> >(grep -v 'warnings\? generated' >&2)
	@touch $@

cppcheck: ## cppcheck
	$(call say,CHECK,cppcheck)
	@mkdir -p build/check/cppcheck
	$(Q)cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -j2 \
		--enable=warning,portability,performance \
		--cppcheck-build-dir=build/check/cppcheck \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
		-D_DEFAULT_SOURCE $(CPPFLAGS) $(DEFINE_VERSION) $(SRCS) \
		$(EC2SIM_SRCS)

analyze: $(SRCS:%.c=build/analyze/obj/%.o) ## gcc's static analyser

warnings: $(objects_gcc) $(objects_clang) ## gcc and clang compile all without a warning

LINT_SH = $(wildcard .ci/* scripts/*.sh third_party/*.sh test/*/*.sh bench/*/*.sh)
LINT_TEXT = $(wildcard *.md *.yaml deploy docs schema events include src test/*.py \
	bench scripts Makefile third_party/*.md third_party/*.sh .ci/* bootstrap.c) \
	$(filter-out test/fixtures,$(wildcard test/*))
lint: ## shellcheck, codespell, and gofmt where there is one
	$(Q)shellcheck -x $(LINT_SH)
	$(Q)codespell $(LINT_TEXT)
	$(Q)! command -v gofmt >/dev/null || { files=$$(gofmt -l bench) && \
		[ -z "$$files" ] || { echo "gofmt: $$files" >&2; exit 1; }; }
	$(call say,OK,shellcheck and codespell)

VALGRIND := valgrind --quiet --leak-check=full --error-exitcode=98 \
	--child-silent-after-fork=yes
valgrind: ## the unit tests and some of the system tests under valgrind
	@scripts/setup.sh build test check
	@$(MAKE) --no-print-directory valgrind-run

valgrind-run: $(tests_valgrind)
	@EC2SWEEP_BUILD=build/valgrind EC2SWEEP_WRAPPER='$(VALGRIND)' \
		$(PYTEST) -m 'unit or valgrind' $(T)

VALGRIND_TESTS := $(addprefix test/system/test_,command.py credentials.py \
	questions.py regions.py runtime.py)
valgrind-long: $(tests_valgrind) ## all unit tests and most system tests under valgrind
	@EC2SWEEP_BUILD=build/valgrind EC2SWEEP_WRAPPER='$(VALGRIND)' \
		$(PYTEST) $(UNIT_TESTS:%=test/%.c) $(VALGRIND_TESTS) $(T)

.PHONY: fuzz fuzz-run fuzz-corpus fuzz-corpus-run fuzz-merge
fuzz: ## look for inputs that break a promise, T=60 seconds each target
	@scripts/setup.sh build test check
	@$(MAKE) --no-print-directory fuzz-run

fuzz-run: $(FUZZERS:%=build/fuzz/%)
	@scripts/fuzz.sh run $(or $(T),60)

fuzz-corpus: ## every saved input of the fuzz targets, once
	@scripts/setup.sh build test check
	@$(MAKE) --no-print-directory fuzz-corpus-run

fuzz-corpus-run: $(FUZZERS:%=build/fuzz/%)
	@scripts/fuzz.sh replay

fuzz-merge: $(FUZZERS:%=build/fuzz/%) ## take what fuzzing has learnt into test/fuzz/corpus
	@scripts/fuzz.sh merge

# --- set-up and the rest ----------------------------------------------------

.PHONY: setup-dev setup-demo setup-check compdb clean
setup-demo: ## install what building, the demo and the tests need
	@scripts/setup.sh build test
setup-dev: ## ... and what the checks and the release build need
	@scripts/setup.sh build test check release

compdb: ## compile_commands.json for editors
	@$$(scripts/python.sh) -B scripts/compdb.py $(CC) $(CSTD_FLAGS) $(CPPFLAGS) \
		-Itest -Itest/support $(DEFINE_VERSION) $(LIB_CFLAGS) \
		-- $(ALL_C) >compile_commands.json

clean: ## remove everything that was built (downloads are kept elsewhere)
	rm -rf build compile_commands.json
