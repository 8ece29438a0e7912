# `make bench-micro`, part of the Makefile: what single steps of the work take,
# with the libraries as the release has them.
#
# Expects what third_party/release.mk defines.

MICRO := $(RELEASE)/micro

$(RELEASE)/obj/bench/%.o: CPPFLAGS += -Itest -Itest/support

$(MICRO): $(RELEASE)/obj/bench/micro/micro.o $(RELEASE_OBJS)
	$(call say,LINK,$@)
	$(Q)$(RELEASE_CC) $(filter-out -s,$(RELEASE_LDFLAGS)) -o $@ \
		$(filter-out %/bootstrap.o,$^) $(RELEASE_ARCHIVES)

.PHONY: bench-micro
bench-micro: $(MICRO) $(RELEASE)/bootstrap build/dev/ec2sim ## what signing, XML and JSON take (T=--instructions: by valgrind)
	@EC2SWEEP_BUILD=build/dev $$(scripts/python.sh) -B bench/micro/micro.py \
		$(MICRO) $(T)

.PHONY: bench-variants
bench-variants: build/dev/ec2sim ## what each choice of the release build is worth (an hour; T="release lto")
	@EC2SWEEP_BUILD=build/dev $$(scripts/python.sh) -B \
		bench/variants/variants.py $(T)
