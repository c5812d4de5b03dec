# `make demo` and `make test` set up all they need: Debian packages, ONNX Runtime, the build.
# Everything that is made lies under target/.

FPS ?= 60
INPUT ?=
OUTPUT ?=
PREFIX ?= $(HOME)/.local

CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
MACHINE := $(shell uname -m)

PACKAGES := gcc pkg-config python3 python3-pip unzip \
	libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-tools \
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
	gstreamer1.0-plugins-ugly gstreamer1.0-libav

ORT_VERSION := 1.31.1
ORT_SHA256_x86_64 := 5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
ORT_SHA256_aarch64 := da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3
ORT_LIB := target/onnxruntime/libonnxruntime.so.$(ORT_VERSION)
ORT_GPU_SHA256_x86_64 := e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6
ORT_GPU := target/onnxruntime-gpu/libonnxruntime_providers_cuda.so

PLUGIN := target/release/libgstvfiinterp.so

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: packages $(ORT_LIB) ## Install what building and running needs

.PHONY: packages
packages:
	@missing=""; \
	if command -v dpkg-query >/dev/null; then \
		for package in $(PACKAGES); do \
			dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q "ok installed" \
				|| missing="$$missing $$package"; \
		done; \
	elif ! pkg-config --exists "gstreamer-video-1.0 >= 1.22"; then \
		echo "Not a Debian system: please install GStreamer 1.22 or later with its development files and plugins (base, good, bad, ugly, libav), a C compiler, pkg-config, python3 with pip, and unzip." >&2; \
		exit 1; \
	fi; \
	if [ -n "$$missing" ]; then \
		echo "Installing:$$missing"; \
		$(SUDO) apt-get update -q && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -q --no-install-recommends $$missing; \
	fi
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }

# $(call unpack,PACKAGE,SHA256,LIBRARIES): out of a wheel, whose Python version need not be this machine's
# because it is taken for its libraries alone.
define unpack
@mkdir -p $(@D)
python3 -m pip download --no-deps --only-binary=:all: --implementation cp --python-version 3.11 \
	--abi cp311 --platform manylinux_2_28_$(MACHINE) --platform manylinux_2_27_$(MACHINE) \
	--dest target/wheels/$(1) $(1)==$(ORT_VERSION)
echo "$(2)  $$(echo target/wheels/$(1)/*.whl)" | sha256sum --check --quiet
unzip -q -o -j target/wheels/$(1)/*.whl onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt \
	$(patsubst %,'onnxruntime/capi/%',$(3)) -d $(@D)
rm -r target/wheels/$(1)
touch $@
endef

$(ORT_LIB): | packages
	$(call unpack,onnxruntime,$(ORT_SHA256_$(MACHINE)),libonnxruntime.so.*)

# 256 MB, so this is no part of `make test`.
$(ORT_GPU): | packages
	$(call unpack,onnxruntime-gpu,$(ORT_GPU_SHA256_$(MACHINE)),libonnxruntime.so.* libonnxruntime_providers_cuda.so \
		libonnxruntime_providers_shared.so)

.PHONY: runtime
runtime: $(ORT_LIB) ## Unpack ONNX Runtime under target/onnxruntime

.PHONY: build
build: setup ## Build the plugin
	$(CARGO) build --release --lib

.PHONY: demo
demo: setup ## Interpolate a video: make demo [INPUT=file] [FPS=60] [OUTPUT=file]
	$(CARGO) build --release --lib --package gst-plugin-vfiinterp
	$(CARGO) build --release --package vfi-convert
	target/release/vfi-convert --fps $(FPS) --overwrite $(if $(INPUT),"$(INPUT)") \
		$(if $(OUTPUT),--output "$(OUTPUT)")

# Memory that fails on demand, which only tests can ask for.
FAULTS := --features gst-plugin-vfiinterp/faults

.PHONY: test
test: setup ## Check formatting, lints and behaviour
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked $(FAULTS) -- -D warnings
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -x; G_DEBUG=fatal_warnings $(CARGO) nextest run --workspace --locked $(FAULTS); \
	else \
		set -x; G_DEBUG=fatal_warnings $(CARGO) test --workspace --locked $(FAULTS) --lib --bins --tests; \
	fi
	$(CARGO) test --workspace --locked $(FAULTS) --doc
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --workspace --locked
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --workspace --locked --document-private-items

# Where the provider finds CUDA: the stand-in, under the names of the libraries it is for.
CUDA := target/cuda-stand-in
CUDA_NAMES := libcuda.so.1 libcudart.so.13 libcublas.so.13 libcublasLt.so.13 libcurand.so.10 libcudnn.so.9
PROVIDER_TESTS := --package cuda-stand-in --locked $(FAULTS) --test provider

.PHONY: provider
provider: setup $(ORT_GPU) ## Test with ONNX Runtime's own CUDA provider, without a GPU
	@mkdir -p $(CUDA)
	@for name in $(CUDA_NAMES); do ln -sf ../debug/deps/libcuda_stand_in.so $(CUDA)/$$name; done
	@export ORT_DYLIB_PATH=$(abspath $(dir $(ORT_GPU))) LD_LIBRARY_PATH=$(abspath $(CUDA)) G_DEBUG=fatal_warnings; \
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -x; $(CARGO) nextest run $(PROVIDER_TESTS); \
	else \
		set -x; $(CARGO) test $(PROVIDER_TESTS) -- --test-threads 1; \
	fi

# libFuzzer and AddressSanitizer come with the compiler, so that plain cargo builds the fuzzers; the
# sanitizer's flag wants a nightly compiler or this variable.
FUZZ_TARGETS := frames graph model sample signature statement timeline warp
FUZZ_SECONDS ?= 60
FUZZ_FLAGS := --cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Ccodegen-units=1 \
	-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
FUZZ_HOST := $(MACHINE)-unknown-linux-gnu

.PHONY: fuzz-build
fuzz-build: setup
	@command -v g++ >/dev/null || { echo "g++ is missing: apt-get install g++" >&2; exit 1; }
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --release \
		--manifest-path fuzz/Cargo.toml --target $(FUZZ_HOST) --target-dir target/fuzz

# What is found lies in target/fuzz/found; what breaks something is named in the last lines.
.PHONY: fuzz
fuzz: fuzz-build ## Look for bytes that break something: make fuzz [FUZZ_SECONDS=60] [FUZZ_TARGETS=model]
	@for target in $(FUZZ_TARGETS); do \
		echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
		mkdir -p target/fuzz/found/$$target fuzz/corpus/$$target; \
		ASAN_OPTIONS=detect_leaks=0 GST_REGISTRY_DISABLE=yes \
			target/fuzz/$(FUZZ_HOST)/release/$$target target/fuzz/found/$$target fuzz/corpus/$$target \
			-max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
			-print_final_stats=1 -verbosity=1 -artifact_prefix=target/fuzz/crash-$$target- \
			>target/fuzz/$$target.log 2>&1 || { tail -40 target/fuzz/$$target.log; exit 1; }; \
		grep -E "stat::number_of_executed_units|stat::average_exec|stat::peak_rss" target/fuzz/$$target.log; \
		grep -aE "(INITED|DONE) " target/fuzz/$$target.log | cut -f 2; \
	done

DENY_VERSION := 0.20.2
DENY := target/tools/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
DENY_CHECK := $(DENY) --config deny.toml

$(DENY):
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --debug --locked --root target/tools/cargo-deny-$(DENY_VERSION) \
		--target-dir target/tools/build cargo-deny --version $(DENY_VERSION)
	rm -r target/tools/build
	touch $@

.PHONY: deny
deny: $(DENY) ## Check the dependencies' licences, sources and known faults
	$(DENY_CHECK) --locked --workspace check bans licenses sources
	$(DENY_CHECK) --manifest-path fuzz/Cargo.toml check bans licenses sources
	@if git ls-remote --exit-code https://github.com/RustSec/advisory-db main >/dev/null 2>&1; then \
		set -x; \
		$(DENY_CHECK) --locked --workspace check advisories && \
		$(DENY_CHECK) --manifest-path fuzz/Cargo.toml check advisories; \
	else \
		echo "skipped: known faults, because the database of them (github.com/RustSec/advisory-db) is out of reach"; \
	fi

# The standard library itself is not instrumented: that would need its source.
.PHONY: asan
asan: setup ## Run the unit tests under AddressSanitizer
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0 \
		$(CARGO) test --locked --lib --target $(MACHINE)-unknown-linux-gnu --target-dir target/asan

# Modules that call neither GStreamer nor ONNX Runtime.
PURE := timing:: duplicates:: ladder:: cost_model:: bisect:: fair_lock_tests::

.PHONY: miri
miri: ## Run the modules that call no C under Miri (rustup +nightly component add miri)
	MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=4 \
		$(CARGO) +nightly miri test --lib --target-dir target/miri -- $(PURE)
	MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=4 \
		$(CARGO) +nightly miri test --package onnx-graph --lib --target-dir target/miri

.PHONY: bench
bench: setup ## Measure the element's own cost beside the network
	$(CARGO) bench

# The packages come to some 6 GB, so this is no part of `make test`.
PYTHON_ENV := target/training

$(PYTHON_ENV)/installed: training/requirements.txt
	python3 -m venv $(PYTHON_ENV)
	$(PYTHON_ENV)/bin/pip install -q -r training/requirements.txt
	touch $@

.PHONY: recipe
recipe: setup $(PYTHON_ENV)/installed ## Train for a minute, export, let the element run it; test scripts
	@command -v ffmpeg >/dev/null || { echo "ffmpeg is missing: apt-get install ffmpeg" >&2; exit 1; }
	$(PYTHON_ENV)/bin/pytest -q crates/lab training --basetemp $(PYTHON_ENV)/run
	$(CARGO) run -p vfi-lab -- quality assets/demo/truth_60.mp4 --methods vfi,blend \
		--model $(PYTHON_ENV)/run/test_recipe0/vfi-lite.onnx

.PHONY: lab-test
lab-test: setup ## Test vfi-lab compare, its page in headless Chromium
	@command -v chromium >/dev/null || { echo "chromium is missing: apt-get install chromium" >&2; exit 1; }
	@command -v ffmpeg >/dev/null || { echo "ffmpeg is missing: apt-get install ffmpeg" >&2; exit 1; }
	VFI_LAB_SCREENSHOT=$(CURDIR)/target/compare.png $(CARGO) test --locked -p vfi-lab compare

.PHONY: install
install: build ## Install plugin, ONNX Runtime, vfi-convert and vfi-models for this user
	$(CARGO) build --release --locked --package vfi-models --package vfi-convert
	install -D -t $(PREFIX)/share/gstreamer-1.0/plugins $(PLUGIN)
	install -D -t $(PREFIX)/share/gstreamer-1.0/plugins/onnxruntime $(ORT_LIB)
	install -D -t $(PREFIX)/bin target/release/vfi-models target/release/vfi-convert
	mkdir -p $(PREFIX)/share/man/man1
	target/release/vfi-convert --man >$(PREFIX)/share/man/man1/vfi-convert.1
	install -D -m 644 -t $(PREFIX)/share/vfiinterp/models models/vfi-base.onnx
	install -D -m 644 -t $(PREFIX)/share/vfiinterp/convert convert/convert.py convert/film.py convert/rife.py convert/requirements.txt

.PHONY: clean
clean: ## Remove everything that was made
	rm -rf target
