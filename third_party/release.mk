# The release build, part of the Makefile: build/release/bootstrap, with every
# library but glibc linked in, and the zip that Lambda takes.
#
# Expects SRCS, CSTD_FLAGS, CPPFLAGS, DEFINE_VERSION and ROOTS, and the rule
# for build/%/gen/roots.c. ARCH is the architecture, the machine's own unless
# told otherwise; EC2SWEEP_CACHE and EC2SWEEP_SOURCES are for build.sh.

ARCH ?= $(shell uname -m)
RELEASE := build/release
RELEASE_ZIP := $(RELEASE)/ec2sweep-$(ARCH).zip

RELEASE_CFLAGS := -O2 -g0 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
	-ffunction-sections -fdata-sections \
	-DCURL_STATICLIB -DLIBXML_STATIC -DCARES_STATICLIB
RELEASE_LDFLAGS := -pie -static-libgcc -s \
	-Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--as-needed
# A library comes before those that it calls.
RELEASE_LIBS := curl cares ssl crypto xml2 jansson z

RELEASE_OBJS := $(SRCS:%.c=$(RELEASE)/obj/%.o) \
	$(if $(ROOTS),$(RELEASE)/obj/roots.o)
RELEASE_COMPILE = $(CC) $(CSTD_FLAGS) $(CPPFLAGS) $(RELEASE_CFLAGS) \
	-isystem $$(cat $(RELEASE)/prefix)/include

# Where the static libraries are. The file changes only when the path does,
# and what is compiled against them is made again only then.
$(RELEASE)/prefix: FORCE
	@mkdir -p $(@D)
	@scripts/setup.sh release
	@new=$@.$$$$ && CC='$(CC)' ARCH='$(ARCH)' third_party/build.sh >$$new && \
		if cmp -s $$new $@; then rm $$new; else mv $$new $@; fi

$(RELEASE)/flags: FORCE
	$(call keep,$(CC) $(CSTD_FLAGS) $(CPPFLAGS) $(RELEASE_CFLAGS) \
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
	$(Q)$(CC) $(RELEASE_LDFLAGS) -o $@.new $(RELEASE_OBJS) \
		$(RELEASE_LIBS:%=$$(cat $(RELEASE)/prefix)/lib/lib%.a)
	$(Q)scripts/check-release.sh $@.new
	@mv $@.new $@

$(RELEASE_ZIP): $(RELEASE)/bootstrap scripts/package.sh
	$(call say,ZIP,$@)
	$(Q)scripts/package.sh $< $@

.PHONY: release package
release: $(RELEASE)/bootstrap ## build/release/bootstrap, static but for glibc
package: $(RELEASE_ZIP) ## zip it for Lambda
	@printf '%s: %d bytes\n' $< "$$(stat -c %s $<)"
