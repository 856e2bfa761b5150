# Two commands on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
PROFILE := fast
PYTHON ?= python3
PEERS := .cache/peers
BENCH_PEERS := .cache/bench
export RESONANCE_PEERS_PYTHON ?= $(CURDIR)/$(PEERS)/bin/python
RESONANCE := target/$(PROFILE)/resonance

.PHONY: demo build test lint bench bundle deb aarch64 fuzz onnxruntime peers mosquitto clean

# A simulated CNC over OPC UA, the gateway and a live view; Ctrl-C ends it.
demo: build
	$(RESONANCE) demo $(DEMO_ARGS)

# ONNX Runtime arrives while cargo compiles.
build:
	@tools/fetch-onnxruntime & fetching=$$!; \
	cargo build --profile $(PROFILE) -p resonance; built=$$?; \
	wait $$fetching && exit $$built

onnxruntime:
	@tools/fetch-onnxruntime

# The programs nobody here wrote that the tests talk to.
peers: $(PEERS)/.installed
$(PEERS)/.installed: tests/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --no-compile --disable-pip-version-check -r tests/peers/requirements.txt
	@touch $@

mosquitto:
	@tools/ensure-mosquitto

# With the second engine, which takes minutes to build and which `make demo` goes without.
test: onnxruntime peers mosquitto
	tools/test --profile $(PROFILE) --features resonance/tract

lint:
	cargo fmt --check
	tools/check-edges
	cargo clippy --profile $(PROFILE) --workspace --all-targets -- -D warnings

# BENCH_ARGS="--full --only rest"; MLServer, a peer, has an environment of its own, .cache/bench.
bench: onnxruntime peers mosquitto $(BENCH_PEERS)/.installed
	cargo build --profile $(PROFILE) --workspace --bins --example read_load
	$(RESONANCE_PEERS_PYTHON) bench/run.py $(BENCH_ARGS)

$(BENCH_PEERS)/.installed: bench/requirements.txt
	$(PYTHON) -m venv $(BENCH_PEERS)
	$(BENCH_PEERS)/bin/pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@touch $@

# One archive that installs and runs without a network; a Debian package. Both go to dist/.
bundle: build
	packaging/bundle

deb: build
	packaging/deb

# The archive for 64-bit ARM, from here. Needs the compiler and libraries of that processor:
#   rustup target add aarch64-unknown-linux-gnu; apt-get install gcc-aarch64-linux-gnu
aarch64: build
	ARCH=aarch64 tools/fetch-onnxruntime
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
	cargo build --profile $(PROFILE) --target aarch64-unknown-linux-gnu -p resonance
	ARCH=aarch64 BINARY=target/aarch64-unknown-linux-gnu/$(PROFILE)/resonance TELLER=$(RESONANCE) \
	STRIP=aarch64-linux-gnu-strip ORT=$$(ls .cache/onnxruntime-aarch64/*.so.*) packaging/bundle

# Every fuzz target for FUZZ_SECONDS; needs cargo-fuzz (tools/fuzz says how to get it).
FUZZ_SECONDS ?= 60
fuzz:
	@tools/fuzz $(FUZZ_SECONDS)

clean:
	rm -rf target .cache dist

include models/models.mk
