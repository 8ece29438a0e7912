# `make bench-handshakes`, part of the Makefile: the CPU of the handshakes in
# INIT beside that of a client which does nothing else, both linked with the
# release's OpenSSL. Expects what third_party/release.mk defines.

HANDSHAKES := $(RELEASE)/handshakes

$(HANDSHAKES): $(RELEASE)/obj/bench/handshakes/handshakes.o
	$(call say,LINK,$@)
	$(Q)$(RELEASE_CC) $(filter-out -s,$(RELEASE_LDFLAGS)) -o $@ $^ \
		$(RELEASE_ARCHIVES)

.PHONY: bench-handshakes
bench-handshakes: release $(HANDSHAKES) build/dev/ec2sim ## the CPU of INIT's handshakes, beside bare OpenSSL's
	@EC2SWEEP_BUILD=build/dev EC2SWEEP_BOOTSTRAP=build/release/bootstrap \
		$$(scripts/python.sh) -B bench/handshakes/handshakes.py $(HANDSHAKES)
