# make demo    the main job on real data, compiled
# make test    the whole suite, interpreted
# make check   format, lint, types and the suite
PYTHON ?= python3
VENV := .venv
COMPILED := .venv-compiled
SOURCES := $(shell find src -name '*.py') pyproject.toml
PYTEST_WORKERS ?= 2
PYTEST := -n $(PYTEST_WORKERS) --dist loadgroup

.PHONY: demo test test-compiled check lint format format-check types crash property soak bench clean venv compiled

venv: $(VENV)/.stamp
compiled: $(COMPILED)/.stamp

$(VENV)/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "CBDD needs Python 3.11 or later, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(COMPILED)/.stamp: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "CBDD needs Python 3.11 or later, this is " + sys.version)'
	test -x $(COMPILED)/bin/python || $(PYTHON) -m venv $(COMPILED)
	@echo "Compiling CBDD, which takes a few minutes ..."
	HATCH_BUILD_HOOKS_ENABLE=1 $(COMPILED)/bin/python -m pip install --quiet --force-reinstall --no-deps .
	$(COMPILED)/bin/python -m pip install --quiet '.[demo]' pytest pytest-xdist hypothesis --no-build-isolation 2>/dev/null || \
	$(COMPILED)/bin/python scripts/install_requirements.py demo dev
	$(COMPILED)/bin/python -m cbdd.build_info --require compiled
	touch $@

test: venv
	$(VENV)/bin/python -m pytest $(PYTEST) tests src

# The tests run from a folder of their own so that the installed package is what they import.
test-compiled: compiled
	$(COMPILED)/bin/python -m cbdd.build_info --require compiled
	CBDD_REQUIRE_COMPILED=1 $(COMPILED)/bin/python -m pytest $(PYTEST) tests

lint: venv
	$(VENV)/bin/ruff check src tests benchmarks examples scripts

format: venv
	$(VENV)/bin/ruff format src tests benchmarks examples scripts

format-check: venv
	$(VENV)/bin/ruff format --check src tests benchmarks examples scripts

types: venv
	$(VENV)/bin/mypy

check: format-check lint types test

crash: venv
	CBDD_CRASH_SCALE=5 $(VENV)/bin/python -m pytest $(PYTEST) -m crash tests

property: venv
	CBDD_HYPOTHESIS_PROFILE=thorough $(VENV)/bin/python -m pytest $(PYTEST) -m property tests

soak: compiled
	CBDD_SOAK=1 $(COMPILED)/bin/python -m pytest -m soak tests

bench: compiled
	$(COMPILED)/bin/python benchmarks/side_by_side.py

demo: compiled
	$(COMPILED)/bin/python examples/demo/main.py

clean:
	rm -rf $(VENV) $(COMPILED) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
