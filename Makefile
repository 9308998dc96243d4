# `make help` lists what there is. Every target installs what it needs first.
.DEFAULT_GOAL := help
.PHONY: help demo test check coverage bench deps packages servers clean

# The Node that npm brings along goes first, see scripts/install-packages.sh.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# `make bench alloc-10k` and `make bench IDS="alloc-10k plan-full"` both choose.
ifeq (bench,$(firstword $(MAKECMDGOALS)))
  CHOSEN := $(filter-out bench,$(MAKECMDGOALS))
  IDS ?= $(CHOSEN)
  ifneq (,$(CHOSEN))
.PHONY: $(CHOSEN)
$(CHOSEN): bench
	@:
  endif
endif

help: ## lists the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target text; do printf '  make %-9s %s\n' "$$target" "$$text"; done

demo: packages ## shows the main job on a simulated region; needs no account, no root, no compiler
	@bin/romana simulate

test: deps servers ## runs all tests; the last line is "N passed, N failed[, N skipped]" (ARGS go to vitest)
	@node scripts/run-tests.ts $(ARGS)

check: packages ## types, lint, format, boundaries, dead code
	@npm run --silent check

coverage: packages ## runs the unit tests and measures what they cover
	@vitest run --project unit --coverage

bench: deps servers ## measures, all or some: make bench [ID...]
	@node --disable-warning=ExperimentalWarning --expose-gc bench/run.ts $(IDS)

deps: packages ## installs the packages and builds what ICMP probes need, where there is a compiler
	@sh scripts/build-raw-socket.sh

packages: ## installs the npm packages, Node 24 among them
	@sh scripts/install-packages.sh

servers: ## installs what the integration tests talk to, outside of the checkout
	@sh scripts/install-servers.sh

clean: ## removes what was installed and built in the checkout
	rm -rf node_modules dist coverage bench/results.json
