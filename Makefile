# Everything lives in .venv. The first target that needs it makes it, from python3 (3.11 or newer) alone.

PYTHON ?= python3
# A folder with flights.parquet, weather.parquet, ...: `make demo DATA=../shared/data`.
DATA ?=
# What to hand on to pytest: `make test ARGS='-k join -x'`.
ARGS ?=
JOBS ?= 2
# Trains, tests, registers, promotes, serves and reproduces; the stores, and the registry.
LOWEST := tests/docs/test_first_project.py tests/registry tests/store/test_online.py tests/store/test_record_log.py \
	tests/acceptance/test_walk.py::test_a_service_answers_what_the_package_predicts \
	tests/acceptance/test_walk.py::test_a_version_can_be_made_again

BIN := .venv/bin
# A slow line is no reason to give up half-way.
export UV_HTTP_TIMEOUT ?= 180
# Threads that wait for each other must not spin: beside any other load that makes a fit four times as long.
export OMP_WAIT_POLICY ?= PASSIVE
# A process that must compile what it imports starts three times as late, and this system is many processes.
export UV_COMPILE_BYTECODE ?= 1
unexport PYTHONDONTWRITEBYTECODE
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow lowest check format bench docs lock clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: .venv/.developer  ## Install Everfit and its developers' tools into .venv

demo: .venv/.runtime  ## The loop closes on simulated deliveries, then code is pushed; STAY=1 leaves it up; DATA=folder serves flights
	$(BIN)/everfit demo $(if $(DATA),--data $(DATA)) $(if $(STAY),--stay)

test: .venv/.developer  ## Run the everyday tests
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow" $(ARGS)

slow: .venv/.developer  ## Run the tests that take longer than ten seconds each
	$(BIN)/python -m pytest -n $(JOBS) -m slow $(ARGS)

# What users of pyproject.toml may have; constraints.txt is what developers have. A process that is forked after the
# import of Polars 2.0 hangs when it is used.
lowest: .venv/.uv  ## Run the everyday core on the lowest versions that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/lowest
	$(BIN)/uv pip compile pyproject.toml --resolution lowest-direct --python $(BIN)/python --only-binary :all: \
		--no-header --no-annotate --quiet --output-file .venv/lowest.txt
	$(BIN)/uv pip install --quiet --python .venv/lowest/bin/python --requirement .venv/lowest.txt \
		httpx hypothesis 'pytest>=8.3'
	$(BIN)/uv pip install --quiet --python .venv/lowest/bin/python --no-deps --editable .
	EVERFIT_TEST_FRESH=1 .venv/lowest/bin/python -m pytest --override-ini filterwarnings=default $(LOWEST)

check: .venv/.developer  ## Format, lint, types, layers, and documentation that cannot lie
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check

format: .venv/.developer  ## Put the code into the form that `make check` asks for
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: .venv/.developer  ## Measure Everfit against its goals and its peers
	$(BIN)/python -m benchmarks $(ARGS)

docs: .venv/.developer  ## Write the generated reference pages and the included code again
	$(BIN)/python -m docs.generate

lock: .venv/.uv  ## Pin the newest versions that fit together
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file constraints.txt

clean:  ## Remove the environment and every cache; keep what a project remembers (.everfit)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache benchmarks/.environments benchmarks/.data

.venv/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Everfit needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh .ci/install-system python3-venv
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	@touch $@

.venv/.runtime: .venv/.uv pyproject.toml constraints.txt
	# pytest for the tests of projects, which a release runs.
	$(INSTALL) --editable . pytest
	@touch $@

.venv/.developer: .venv/.uv pyproject.toml constraints.txt
	@ldconfig -p 2>/dev/null | grep -q libgomp || sh .ci/install-system libgomp1
	$(INSTALL) --editable '.[all]' --group dev
	@touch $@ .venv/.runtime
