# The release build, part of the Makefile: build/release/bootstrap, with every
# library but glibc linked in, and the zip that Lambda takes.
#
# Expects SRCS, cstd, CPPFLAGS, DEFINE_VERSION and ROOTS, and the rule for
# build/%/gen/roots.c. ARCH is x86_64 or arm64 (aarch64 is the same), the
# machine's own unless told otherwise; the other one is built in
# build/release-ARCH. CC, if set, must make code for it; else compiler.sh
# finds one. EC2SWEEP_CACHE and EC2SWEEP_SOURCES are for build.sh.

MACHINE := $(shell uname -m)
ARCH ?= $(MACHINE)
RELEASE_ARCH := $(patsubst amd64,x86_64,$(patsubst arm64,aarch64,$(ARCH)))
LAMBDA_ARCH := $(patsubst aarch64,arm64,$(RELEASE_ARCH))
FOREIGN := $(filter-out $(MACHINE),$(RELEASE_ARCH))
RELEASE := build/release$(FOREIGN:%=-$(LAMBDA_ARCH))
RELEASE_ZIP := $(RELEASE)/ec2sweep-$(LAMBDA_ARCH).zip
RELEASE_SBOM := $(RELEASE_ZIP:.zip=.cdx.json)

# Asked when first used, because release-tools may install it.
RELEASE_CC = $(eval RELEASE_CC := $(if $(filter default,$(origin CC)),$(if \
	$(filter x86_64 aarch64,$(RELEASE_ARCH)),$(shell CC= \
	third_party/compiler.sh $(RELEASE_ARCH))),$(CC)))$(RELEASE_CC)

RELEASE_CFLAGS := -O2 -g0 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
	-ffunction-sections -fdata-sections \
	-DCURL_STATICLIB -DLIBXML_STATIC -DCARES_STATICLIB
RELEASE_LDFLAGS := -pie -static-libgcc -s \
	-Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--as-needed
# A library comes before those that it calls.
RELEASE_LIBS := curl cares ssl crypto xml2 jansson z

RELEASE_ARCHIVES = $(RELEASE_LIBS:%=$$(cat $(RELEASE)/prefix)/lib/lib%.a)

RELEASE_OBJS := $(SRCS:%.c=$(RELEASE)/obj/%.o) \
	$(if $(ROOTS),$(RELEASE)/obj/roots.o)
RELEASE_COMPILE = $(RELEASE_CC) $(call cstd,$(RELEASE_CC)) $(CPPFLAGS) $(RELEASE_CFLAGS) \
	-isystem $$(cat $(RELEASE)/prefix)/include

# Before all that asks for the compiler: make puts in RELEASE_CC when a target's
# turn has come.
.PHONY: release-tools
release-tools:
	@case $(RELEASE_ARCH) in x86_64 | aarch64) ;; *) echo >&2 \
		'ARCH=$(ARCH): Lambda has x86_64 and arm64'; exit 1; esac
	@scripts/setup.sh release $(FOREIGN:%=release-%)

# Where the static libraries are. The file changes only when the path does,
# and what is compiled against them is made again only then.
$(RELEASE)/prefix: release-tools
	@mkdir -p $(@D)
	@new=$@.$$$$ && CC='$(RELEASE_CC)' ARCH=$(RELEASE_ARCH) \
		third_party/build.sh >$$new && \
		if cmp -s $$new $@; then rm $$new; else mv $$new $@; fi

$(RELEASE)/flags: release-tools
	$(call keep,$(RELEASE_COMPILE) \
		$(RELEASE_LDFLAGS) $(RELEASE_LIBS) $(VERSION) $(RELEASE_OBJS))

$(RELEASE)/obj/bootstrap.o $(RELEASE)/obj/src/config.o: \
	CPPFLAGS += $(DEFINE_VERSION)

$(RELEASE)/obj/%.o: %.c $(RELEASE)/prefix $(RELEASE)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(RELEASE_COMPILE) -MMD -MP -c -o $@ $<

$(RELEASE)/obj/roots.o: $(RELEASE)/gen/roots.c $(RELEASE)/prefix \
		$(RELEASE)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(RELEASE_COMPILE) -MMD -MP -c -o $@ $<

# The binary gets its name only once it has passed.
$(RELEASE)/bootstrap: $(RELEASE_OBJS) scripts/check-release.sh
	$(call say,LINK,$@)
	$(Q)$(RELEASE_CC) $(RELEASE_LDFLAGS) -o $@.new $(RELEASE_OBJS) \
		$(RELEASE_ARCHIVES)
	$(Q)scripts/check-release.sh $@.new
	@mv $@.new $@

$(RELEASE_ZIP): $(RELEASE)/bootstrap scripts/package.sh
	$(call say,ZIP,$@)
	$(Q)scripts/package.sh $< $@

# What is in it, for those who have to know (CycloneDX).
$(RELEASE_SBOM): $(RELEASE)/bootstrap $(RELEASE)/flags scripts/sbom.py
	$(call say,SBOM,$@)
	$(Q)python3 -B scripts/sbom.py --version $(VERSION) --arch $(LAMBDA_ARCH) \
		--binary $< --sources "$$(cat $(RELEASE)/prefix)/SOURCES.tsv" >$@

# For the flavour `pinned`, whose tests fail allocations of ours alone: those of
# the libraries keep out of --wrap's way, as they do in a shared library.
PREFIX = $(shell cat $(RELEASE)/prefix)
LIB_CFLAGS_pinned = $(filter -D%_STATICLIB -DLIBXML_STATIC,$(RELEASE_CFLAGS)) \
	-isystem $(PREFIX)/include
LIB_LIBS_pinned = $(RELEASE_LIBS:%=build/pinned/lib/lib%.a)
build/pinned/flags: $(RELEASE_LIBS:%=build/pinned/lib/lib%.a)
build/pinned/lib/lib%.a: $(RELEASE)/prefix
	@mkdir -p $(@D)
	@objcopy $(foreach f,malloc calloc realloc,--redefine-sym $(f)=__real_$(f)) \
		$(PREFIX)/lib/$(@F) $@

.PHONY: release package
release: $(RELEASE)/bootstrap ## the binary for Lambda, static but for glibc (ARCH=arm64)
package: $(RELEASE_ZIP) $(RELEASE_SBOM) ## zip it, and list what is in it (ARCH=arm64)
	@printf '%s: %d bytes\n' $< "$$(stat -c %s $<)"
