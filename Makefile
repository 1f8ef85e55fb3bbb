# Targets: demo, reproduce-mega, reproduce-handwriting, test, lint, docs, clean. Each builds .venv first if it is missing or out of date.
# Needs make and Python >= 3.11, nothing else.

.DEFAULT_GOAL := help
.PHONY: help demo reproduce-mega reproduce-handwriting test lint docs clean
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.installed-docs

# The first interpreter that is new enough; `make PYTHON=/path/to/python test` chooses another.
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)

# Small models are slower on several threads than on one, and the tests already use every core.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 MPLBACKEND=Agg

help:
	@echo "make demo   fit models to embedded real data sets and write underlie-demo/report.html"
	@echo "make reproduce-mega   the results of the MEGA paper again, in underlie-reproduce-mega/report.html"
	@echo "make reproduce-handwriting   the study of handwriting again, in underlie-reproduce-handwriting/report.html"
	@echo "make test   all tests and docstring examples, in parallel"
	@echo "make lint   style, types and import layers"
	@echo "make docs   HTML documentation in docs/_build/html; runs the code of its pages, warnings are errors"
	@echo "make clean  remove everything that was built, .venv included"

$(INSTALLED): constraints.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "underlie needs Python 3.11 or newer; none of python3, python3.12, python3.11, python3.13 is." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11 test" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "underlie needs Python 3.11 or newer; $(PYTHON) is older or does not run." >&2; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,lint]'
	@touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/underlie demo

reproduce-mega: $(INSTALLED)
	$(BIN)/underlie reproduce mega

reproduce-handwriting: $(INSTALLED)
	$(BIN)/underlie reproduce handwriting

test: $(INSTALLED)
	$(TEST_ENV) $(BIN)/python -m pytest -n auto --dist worksteal --doctest-modules src/underlie tests

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS_INSTALLED)
	$(TEST_ENV) $(BIN)/python -m sphinx -q -W --keep-going -j auto -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf $(VENV) build dist docs/_build docs/generated underlie-demo underlie-reproduce-mega underlie-reproduce-handwriting src/underlie.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +
