# Every chore has one entry point, the same by hand and in CI. Needs make and python3 (3.11 or newer), nothing else.

VENV := .venv
BIN := $(VENV)/bin
# The first of these that is Python 3.11 or newer; PYTHON=/path/to/python overrides.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
ROOMS := $(wildcard bot handlers storage tests bench)
ARGS ?=

# An environment that happens to be active, or a user's own module path, must not leak into ours.
unexport VIRTUAL_ENV
unexport PYTHONHOME
unexport PYTHONPATH
# Tests and the processes they start load what was compiled before: compiling all of it takes as long as many a test.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test check format texts bench outdated clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## set everything up and start the service with the sandbox on http://127.0.0.1:8000
	@exec env SANDBOX="$${SANDBOX:-1}" $(BIN)/python -m bot $(ARGS)

test: $(VENV)/.test ## set everything up and run the whole test suite (ARGS="-k name" selects)
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: $(VENV)/.test ## lint, formatting and types
	$(BIN)/ruff check $(ROOMS)
	$(BIN)/ruff format --check $(ROOMS)
	$(BIN)/mypy --strict $(ROOMS)

format: $(VENV)/.test ## put the code in its form
	$(BIN)/ruff check --fix $(ROOMS)
	$(BIN)/ruff format $(ROOMS)

texts: $(VENV)/.test ## bring the catalogue of Chinese texts up to date and list what is not translated
	@$(BIN)/python -m tests.texts

bench: $(VENV)/.test ## run the benchmarks (ARGS go to them)
	$(BIN)/python -m bench $(ARGS)

outdated: $(VENV)/.test ## list newer versions of what requirements.txt pins
	$(BIN)/python -m pip list --outdated --disable-pip-version-check

clean: ## remove what the tools made (not data/)
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A dangling interpreter (Python was upgraded) counts as missing, and the environment is made anew.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Callboard needs Python 3.11 or newer: install python3, or say make PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install the package python3-venv (apt install python3-venv) and run make again." >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run: requirements.txt | $(BIN)/python
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.test: requirements.txt tests/requirements.txt | $(BIN)/python
	$(PIP) -r tests/requirements.txt
	@touch $@ $(VENV)/.run
