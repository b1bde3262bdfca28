# Everything a developer does, each in one word. Needs Python 3.10+ with venv, and make; the rest lands in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# Most tests wait for servers, so that two cores carry four of them at a time; each worker has servers of its own.
WORKERS ?= 4
# The environment is built anew when what it is made from changes, not when a file's date does.
STAMP := $(VENV)/.dev-$(shell cksum pyproject.toml | cut -d ' ' -f 1)

# Where a machine sets it, each process of a test run would compile everything it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help dev test soak check lint types layers docs format e2e matrix bench demo build clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: $(STAMP) ## Set up .venv with everything for development

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "redispan needs Python 3.10 or later; say which: make dev PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@rm -f $(VENV)/.dev-*
	@touch $@

test: $(STAMP) ## Run the unit and behaviour tests, in less than four minutes (PYTEST_ARGS="-k name" for some)
	$(PYTEST) -n $(WORKERS) --dist worksteal tests/unit tests/behaviour $(PYTEST_ARGS)

soak: $(STAMP) ## Run what takes long, some hours (SOAK_ARGS="fuzzing --quick" for a part)
	$(BIN)/python tests/soak/run.py $(SOAK_ARGS)

check: lint types layers docs ## Run linter, type checker, architecture contracts and the docs' code (-k: all, whatever fails)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

docs: $(STAMP)
	$(PYTEST) -n $(WORKERS) --dist worksteal tests/docs

format: $(STAMP) ## Let the linter and the formatter repair what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

e2e: $(STAMP) ## Run the end-to-end tests: real programs, the real command line, the Collector and its back ends
	$(PYTEST) -n $(WORKERS) --dist loadgroup tests/e2e tests/stack $(PYTEST_ARGS)

matrix: $(STAMP) ## Run what they can change on every supported Python and redis-py that this machine can have
	$(BIN)/python tests/matrix.py

bench: $(STAMP) ## Count what redispan costs, in instructions and frames (BENCH_ARGS=--quick for the main rows)
	$(BIN)/python tests/bench/run.py $(BENCH_ARGS)

demo: $(STAMP) ## Run an ordinary program under redispan and show what it saw
	$(BIN)/redispan demo

build: $(STAMP) ## Build the wheel and the source archive into dist/
	$(BIN)/uv build

clean: ## Remove everything that make made
	rm -rf $(VENV) dist .ci/work .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
