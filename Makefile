# Moneta's commands. `make run` and `make test` need Debian and Rust, nothing else: they install what is missing.

export CARGO_TARGET_DIR := $(shell scripts/target-dir.sh)
export MONETA_CORPUS ?= $(abspath $(CURDIR)/../shared)
DATA ?= $(CURDIR)/data
PROFILE ?= relfast
BINARIES := $(CARGO_TARGET_DIR)/$(PROFILE)

.PHONY: help run build test sigma-peer clients api-fuzz web web-test torture lint fmt conformance fuzz bench doc clean-data

help:            ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: build       ## Build and start Moneta on ./data with this machine's own logs.
	@$(BINARIES)/moneta serve --data-dir $(DATA)

build:           ## Build the programs moneta and moneta-verify.
	@scripts/install-debian.sh build
	@scripts/build-web.sh
	cargo build --locked --profile $(PROFILE) -p moneta-cli -p moneta-verify

web:             ## Build the pages alone; `npm run dev` in web/ serves them while somebody works on them.
	@scripts/build-web.sh --need

test:            ## Run every test.
	@scripts/install-debian.sh test
	@scripts/build-web.sh
	cargo build --locked --workspace --all-targets
	cargo test --locked --workspace --no-fail-fast
	MONETA_BIN=$(CARGO_TARGET_DIR)/debug/moneta tests/clients/run.sh
	scripts/test-web.sh

sigma-peer:      ## Compare the matcher with rsigma on events made from the rules' own conditions.
	cargo build --release --locked --ignore-rust-version --manifest-path bench/sigma-peer/Cargo.toml \
		--target-dir $(CARGO_TARGET_DIR)/sigma-peer
	MONETA_SIGMA_PEER=$(CARGO_TARGET_DIR)/sigma-peer/release/sigma-peer \
	cargo test --locked -p moneta-rules --test it -- --nocapture peer

clients:         ## Run other products' clients against a fresh server; the table goes to docs/clients.md.
	@scripts/install-debian.sh test
	cargo build --locked -p moneta-cli
	MONETA_BIN=$(CARGO_TARGET_DIR)/debug/moneta tests/clients/run.sh --write

api-fuzz:         ## Check the description of the interface, and send what it allows and what it does not.
	@scripts/install-debian.sh test
	cargo build --locked -p moneta-cli
	MONETA_BIN=$(CARGO_TARGET_DIR)/debug/moneta tests/openapi/fuzz.sh

web-test:        ## Test the pages in Chromium against a server of their own; pictures go to web/dist/pictures.
	@scripts/install-debian.sh web
	@scripts/build-web.sh --need
	cargo build --locked -p moneta-cli
	MONETA_BIN=$(CARGO_TARGET_DIR)/debug/moneta scripts/test-web.sh

torture:         ## Run the long forms of the tests of crashes, damage, forks and tampering: hours.
	@scripts/install-debian.sh test
	MONETA_EDITS=$${MONETA_EDITS:-5000} MONETA_CLEAN_RUNS=$${MONETA_CLEAN_RUNS:-50} MONETA_FORKS=$${MONETA_FORKS:-100000} \
	MONETA_DAYS=$${MONETA_DAYS:-400} MONETA_OBJECT_COMMITS=$${MONETA_OBJECT_COMMITS:-100000} MONETA_POWER_CUTS=$${MONETA_POWER_CUTS:-100000} MONETA_FILLS=$${MONETA_FILLS:-200} \
	MONETA_FAULTS=$${MONETA_FAULTS:-all} MONETA_RESENT_RECORDS=$${MONETA_RESENT_RECORDS:-10000000} \
	cargo test --locked --profile $(PROFILE) -p moneta-verify -p moneta-ledger -p moneta-journal -p moneta-store -p moneta-ingest -- --nocapture
	MONETA_MALFORMED=$${MONETA_MALFORMED:-100000} \
	cargo test --locked --profile $(PROFILE) -p moneta-formats --test it malformed -- --nocapture
	MONETA_CORRELATION_KILLS=$${MONETA_CORRELATION_KILLS:-200} \
	cargo test --locked --profile $(PROFILE) -p moneta-cli --test it kill_correlation -- --nocapture
	MONETA_ORDER_CASES=$${MONETA_ORDER_CASES:-10000} \
	cargo test --locked --profile $(PROFILE) -p moneta-rules --test it correlation_order -- --nocapture
	MONETA_BACKFILL=whole cargo test --locked --profile $(PROFILE) -p moneta-cli --test it backfill:: -- --nocapture
	MONETA_FILE_KILLS=$${MONETA_FILE_KILLS:-200} \
	cargo test --locked --profile $(PROFILE) -p moneta-cli --test it kill_files -- --nocapture
	MONETA_KILLS=$${MONETA_KILLS:-1000} MONETA_SYSLOG_KILLS=$${MONETA_SYSLOG_KILLS:-20} MONETA_MOVE_KILLS=$${MONETA_MOVE_KILLS:-200} \
	MONETA_FLIPS=$${MONETA_FLIPS:-1000} \
	cargo test --locked --profile $(PROFILE) -p moneta-cli --test it -- --nocapture --test-threads 1 kill_json kill_syslog moving:: flips::

lint:            ## Check formatting, lints, documentation and licences.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	scripts/check-licences.sh
	cargo xtask tidy

fmt:             ## Format the sources.
	cargo fmt --all

conformance:     ## Run the corpora under $$MONETA_CORPUS and print what passes.
	MONETA_CONFORMANCE_ALL=1 cargo test --locked --workspace --test it -- --nocapture corpus conformance matrix

fuzz:            ## Run each fuzz target of the query language and of the log formats for FUZZ_SECONDS (60).
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} cargo test --locked -p moneta-kql --test it -- --nocapture fuzz
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} cargo test --locked -p moneta-kql-plan --test it -- --nocapture fuzz
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} cargo test --locked -p moneta-formats --test it -- --nocapture fuzz

bench: build     ## Run every benchmark; results go to bench/results.
	cargo build --locked --profile $(PROFILE) -p moneta-ledger --examples
	cargo build --locked --profile $(PROFILE) -p moneta-formats --example decode
	bench/run.sh $(BINARIES)

doc:             ## Build the developer documentation.
	cargo doc --locked --workspace --no-deps

clean-data:      ## Delete ./data. Asks first.
	@printf 'Delete %s and every record in it? Type yes: ' "$(DATA)"; read answer; [ "$$answer" = yes ] && rm -rf "$(DATA)"
