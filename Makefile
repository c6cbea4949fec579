# Two commands matter to a newcomer: `make demo` and `make test`.
CARGO := cargo
# From g++ on for librdkafka, which is built from source.
PACKAGES := gcc libc6-dev python3 python3-venv curl g++ make pkg-config zlib1g-dev libssl-dev
# kcat reads what a mesh on Kafka writes; openssl makes the certificates of a broker with TLS.
TEST_PACKAGES := kcat openssl

# Tests fail by panicking, and print their seeds; nothing else may.
IN_TESTS := -A clippy::unwrap_used -A clippy::expect_used -A clippy::panic -A clippy::print_stdout -A clippy::print_stderr

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-clients bench bench-kafka kafka lint setup

help: ## What there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:
	@scripts/setup $(PACKAGES)

demo: setup ## Three regions, a month of departures, one region killed
	$(CARGO) build --locked --release -p meridian
	target/release/meridian demo departures --data .meridian/demo

kafka: setup ## Kafka's jars, for tests and `up --kafka start`; needs Java 17 and Maven
	@scripts/kafka

test: test-rust test-clients ## All tests

test-rust: setup kafka
	@scripts/setup $(TEST_PACKAGES)
	$(CARGO) test --locked --workspace --tests --no-fail-fast

# After `test-rust`, which builds the binary (it has tests of its own, so cargo builds it for them).
test-clients: setup test-rust
	scripts/test-clients

bench: setup ## Benchmarks (criterion), January twenty times through three regions, what a gateway costs
	$(CARGO) bench --locked -p lattice -p fold -p store -p backbone-local
	$(CARGO) build --locked --release -p meridian
	scripts/bench-mesh
	$(CARGO) bench --locked -p cluster --bench gateway

bench-kafka: setup kafka ## Numbers on real Kafka, beside Kafka Streams; five minutes and more, alone on the machine
	$(CARGO) build --locked --release -p meridian
	scripts/bench-kafka

lint: setup ## Format and lints, as CI wants them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace -- -D warnings
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings $(IN_TESTS)
