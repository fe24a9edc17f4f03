.DEFAULT_GOAL := help
.PHONY: help demo up test lint fmt types layers clients bench faults faults-long soak statements lock docs clean

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK    := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --quiet
BACK_END := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")

# As in an installation: a process that starts does not compile what it imports.
export PYTHONDONTWRITEBYTECODE :=

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "webhookd needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(INSTALL) --require-hashes -r requirements-dev.lock
	$(INSTALL) --no-deps -e .
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run ## the whole story on embedded parts, in one run
	$(BIN)/webhookd demo

up: $(VENV)/.run ## serve on this machine until Ctrl-C
	$(BIN)/webhookd up --dev

test: $(VENV)/.dev ## every test but `make faults` and the long ones of `make clients`, on real Valkey and PostgreSQL
	$(BIN)/python -m pytest -n 5 --dist loadscope -m "not faults and not long" $(ARGS)

lint: $(VENV)/.dev ## ruff: lint and format check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: $(VENV)/.dev ## format, and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

layers: $(VENV)/.dev ## imports go downward only
	$(BIN)/lint-imports

statements: $(VENV)/.dev ## write the pages of the SQL that the store sends
	$(BIN)/python -m tests.contract.statements

clients: $(VENV)/.dev ## generate clients in other languages, compile them, use them
	$(BIN)/python -m pytest -n 2 tests/clients $(ARGS)

bench: $(VENV)/.dev ## print the figures, ratios in one run
	$(BIN)/python -m tests.benchmarks $(ARGS)

faults: $(VENV)/.dev ## the tests that kill, freeze and restart real processes
	$(BIN)/python -m pytest -n 3 --dist worksteal -m faults $(ARGS)

faults-long: $(VENV)/.dev ## tests/faults at full length: outages of a minute, backlogs of 10,000
	WEBHOOKD_TEST_OUTAGE_SECONDS=60 WEBHOOKD_TEST_BACKLOG=10000 $(BIN)/python -m pytest tests/faults $(ARGS)

soak: $(VENV)/.dev ## random faults under load: ARGS="--store postgresql --minutes 10 --seed 7"
	$(BIN)/python -m tests.faults.soak $(ARGS)

lock: $(BIN)/python ## renew the lock files: to run, to develop, to run with OpenTelemetry, to build the wheel
	$(INSTALL) uv
	$(LOCK) -U pyproject.toml -o requirements.lock
	$(LOCK) -U pyproject.toml --group dev -o requirements-dev.lock
	$(LOCK) pyproject.toml --extra otel -c requirements.lock -o requirements-otel.lock
	$(BIN)/python -c '$(BACK_END)' | $(LOCK) -U - -o requirements-build.lock

docs: $(VENV)/.dev ## write the generated pages of docs/reference
	$(BIN)/python -m tests.generate_docs

clean: ## remove what the targets above made
	rm -rf $(VENV) .clients .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
