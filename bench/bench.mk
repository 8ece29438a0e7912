# The benchmark: docs/performance.md has its figures, bench/README.md says what
# they mean. Included by the Makefile.
#
# Variables: FULL=1 (everything, an hour or two instead of minutes), ONLY=ours,go
# (these programs alone; of bench-large the tables with this in their title).

BENCH_C := $(wildcard bench/wan/*.c)
BENCH_GO := $(wildcard bench/driver/*.go) $(wildcard bench/driver/go.mod)
BENCH_DRIVER := build/bench/driver
GO ?= go
comma := ,

# Those to build of bench/peers.
BENCH_PEERS = $(if $(ONLY),$(filter-out ours,$(subst $(comma), ,$(ONLY))),\
	go rust python)

build/bench/wan: $(BENCH_C:%.c=build/dev/obj/%.o)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(link_dev) -o $@ $^

# Without version control stamps, which a worktree may not be able to give.
$(BENCH_DRIVER): $(BENCH_GO)
	$(call say,GO,$@)
	@mkdir -p $(@D)
	$(Q)cd bench/driver && $(GO) build -buildvcs=false -o ../../$@ .

.PHONY: bench bench-run bench-large bench-large-run bench-smoke bench-smoke-run bench-plots
bench: ## the program beside others that ask the same (FULL=1, ONLY=ours,go)
	@scripts/setup.sh build test release bench
	@$(MAKE) --no-print-directory bench-run

bench-run: release build/dev/ec2sim build/bench/wan $(BENCH_DRIVER)
	@bench/peers/build.sh build/bench/peers $(BENCH_PEERS)
	@$(BENCH_DRIVER) $(if $(FULL),-full) $(if $(ONLY),-only $(ONLY))
	@cat build/bench/report.md

bench-large: ## large fleets and starts, ours alone: some twenty minutes
	@scripts/setup.sh build test release bench
	@$(MAKE) --no-print-directory bench-large-run

bench-large-run: release build/dev/ec2sim build/bench/wan $(BENCH_DRIVER)
	@$(BENCH_DRIVER) -large $(if $(ONLY),-only '$(ONLY)')
	@cat build/bench/large.md

# A check of the benchmark itself, so it needs no root and no registry, and is
# left out where there is no Go.
bench-smoke: ## does the benchmark work? (some seconds, our program alone)
	@if $(GO) version >/dev/null 2>&1; then \
		$(MAKE) --no-print-directory bench-smoke-run; \
	else \
		echo 'bench-smoke: left out: there is no Go'; \
	fi

bench-smoke-run: build/dev/bootstrap build/dev/ec2sim $(BENCH_DRIVER)
	@cd bench/driver && $(GO) vet . && $(GO) test .
	@$(BENCH_DRIVER) -smoke -bootstrap build/dev/bootstrap \
		-out build/bench/smoke

bench-plots: ## the plots of the last `make bench` into docs/
	cp build/bench/bench-programs.svg build/bench/bench-growth.svg docs/
