# What a person does with this repository. Every target fetches what it needs by itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export CARGO_TERM_PROGRESS_WHEN ?= never
export PIP_QUIET := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

RUST_SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -name '*.rs' -o -name Cargo.toml)
PYTEST := $(PYTHON) -m pytest -q

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

$(VENV)/.packages: requirements/dev.lock tools/need lab/debian-packages.txt
	@tools/need build
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@echo "Fetching Python packages into $(VENV)"
	@$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.built: $(VENV)/.packages $(RUST_SOURCES)
	@echo "Compiling the engine (a few minutes the first time)"
	@maturin develop --release --locked --quiet
	@touch $@

build: $(VENV)/.built ## compile the engine into a virtual environment

demo: build ## two gateways, two hosts, a tunnel, and what an eavesdropper sees
	@tools/need --optional demo
	@$(PYTHON) -m demo

test: build ## every test; as root also those in namespaces and against other implementations
	@tools/need --optional lab
	cargo nextest run --locked --workspace --exclude perilune-py --cargo-quiet --status-level fail --final-status-level fail
	$(PYTEST)

interop: build ## strongSwan and a Linux kernel against us, tables of cases and verdicts
	@tools/need lab
	$(PYTEST) tests/interop -m interop

lint: build ## formats, lints, types, import rules, licences
	@tools/need lint
	ruff format --check
	ruff check
	mypy -p perilune -p lab -p demo -p benchmarks -p spec
	$(PYTHON) -m mypy.stubtest perilune.dataplane._native --mypy-config-file pyproject.toml
	lint-imports
	cargo fmt --check
	cargo fmt --check --manifest-path rust/fuzz/Cargo.toml
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
	cargo deny --log-level error check bans licenses sources
	$(PYTHON) -m spec --missing

requirements: $(VENV)/.packages ## each MUST of RFC 4301, 4302 and 4303 with the tests that show it
	@$(PYTHON) -m spec

bench: build ## one run: us, strongSwan, wireguard-go, OpenVPN, a bare forwarder; each requirement and what was measured
	@tools/need lab bench
	@tools/newer-wireguard-go target/peers
	$(PYTHON) -m benchmarks $(OPTIONS)

instructions: build ## what a packet costs in instructions, against the committed numbers
	@tools/need instructions
	$(PYTHON) -m benchmarks.instructions

$(VENV)/.fuzz-packages: requirements/fuzz.lock $(VENV)/.packages
	@$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

fuzz: $(VENV)/.fuzz-packages ## made-up octets for every parser, FUZZ_SECONDS (600) each, from FUZZ_SEED
	@tools/fuzz $(TARGETS)

property: build ## the property tests, far longer and with new seeds
	PROPTEST_CASES=5000 cargo nextest run --locked --release --workspace --exclude perilune-py
	$(PYTEST) tests/property --hypothesis-profile=long --timeout=3600

clean: ## remove everything that was built or fetched
	rm -rf $(VENV) target build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find python tests lab demo benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	rm -f python/perilune/dataplane/_native*.so

.PHONY: help build demo test interop lint requirements bench instructions fuzz property clean
