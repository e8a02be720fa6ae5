# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv-<line>; `make` alone lists the rest.
# Without TFX: `make tour`, `make unit-light` and `make system-light`, in .venv-light.
#
#   STACK=1.16 | 1.21    the TFX line (default: the newest that runs here)
#   PYTHON=/path         the interpreter to make the venv with (default: the best one found)
#   ARGS='...'           further arguments for pytest, or for a benchmark
#   WORKERS=2            processes for the tests (default: one for each core; with ARGS: 0, all in one)
#   INSTALLER=pip        install without uv
#   TARGET=unit          what test-latest runs (default: test)
#   IMAGES='...'         what image-check builds (default: tfx-1.16 tfx-1.21 light)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-light demo demo-rollout tour test lint unit unit-light system-light site fuzz format bench lock test-latest mlmd-check image-check clean
# The targets follow one another; the tools use the cores themselves.
.NOTPARALLEL:

PYTHON ?=
ARGS ?=
INSTALLER ?= auto
# A test that is asked for by name starts at once, and can be stepped through (--pdb).
WORKERS ?= $(if $(ARGS),0,auto)
DEMO ?= demo/pipeline_demo.py
DEBIAN13 ?= build/debian13
TARGET ?= test
# The locks hold what had been published before this day: move it, run `make lock UPGRADE=1`, then both lines' tests.
LOCK_DATE ?= 2026-11-20

export PYTHON
# The tests start hundreds of processes: each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# Decided once in a run, and only for a target that needs it; `make help` and `make clean` work anywhere.
ASKED := $(STACK)
ifeq ($(ASKED),)
decide = scripts/any-python scripts/choose_stack.py --python '$(PYTHON)'
override STACK = $(eval override STACK := $$(shell $(decide)))$(or $(STACK),$(error No TFX line can be set up here, see above))
endif
VENV = .venv-$(STACK)
# ruff knows these from .gitignore, but only inside a git checkout.
IGNORED = --extend-exclude '.venv*,build'

help:
	@scripts/any-python scripts/help.py $(MAKEFILE_LIST)

setup:  ## make .venv-<line> complete (done by the other targets where needed)
	@scripts/any-python scripts/setup_venv.py --stack '$(ASKED)' --python '$(PYTHON)' --installer '$(INSTALLER)'

setup-light:
	@scripts/any-python scripts/setup_venv.py --stack light --python '$(PYTHON)' --installer '$(INSTALLER)'

demo: setup  ## three months of real flights through the real pipeline; ARGS=--all takes all flights
	@$(VENV)/bin/python $(DEMO) $(ARGS)

demo-rollout: setup  ## a harmful canary rolled back, a good one promoted: real servers behind a real Envoy
	@$(VENV)/bin/python demo/rollout_demo.py

tour: setup-light  ## the registry alone, on small ready models, in half a minute; needs no TFX
	@.venv-light/bin/python demo/registry_demo.py

test: lint unit  ## everything a change must pass: lint, types, layers, tests

lint: setup  ## ruff, mypy and the import contracts
	$(VENV)/bin/ruff check $(IGNORED)
	$(VENV)/bin/ruff format --check $(IGNORED)
	$(VENV)/bin/mypy
	MYPYPATH=scripts $(VENV)/bin/mypy scripts
	$(VENV)/bin/lint-imports

unit: setup  ## pytest only: make unit ARGS='-k promote -x'
	$(VENV)/bin/python -m pytest -n $(WORKERS) $(ARGS)

unit-light: setup-light  ## the quick tests, without TFX, in three minutes: make unit-light ARGS='-k promote'
	.venv-light/bin/python -m pytest --light=unit -n $(WORKERS) $(ARGS)

system-light: setup-light  ## the tests that start programs, without TFX: browsers, servers, PostgreSQL, kill -9
	-@.venv-light/bin/python scripts/other_programs.py --python .venv-light/bin/python
	.venv-light/bin/python -m pytest --light=system -n $(WORKERS) $(ARGS)

fuzz: setup  ## the HTTP API against 10,000 made-up requests; more: make fuzz ARGS='--cases 50000 --seed 7'
	@PYTHONPATH=tests $(VENV)/bin/python tests/fuzz_testing.py $(ARGS)

site: setup  ## the documents as a site, with every name of the Python API: build/site/index.html
	PYTHONPATH=components $(VENV)/bin/python -m mkdocs build --quiet
	@echo 'Open build/site/index.html'

format: setup  ## let ruff format and mend the code
	$(VENV)/bin/ruff format $(IGNORED)
	$(VENV)/bin/ruff check --fix $(IGNORED)

bench: setup  ## list the benchmarks; run one: make bench BENCH=name ARGS='...'
	@$(if $(BENCH),$(VENV)/bin/python benchmarks/$(BENCH).py $(ARGS),ls benchmarks/*.py | sed 's|^benchmarks/\(.*\)\.py$$|make bench BENCH=\1|')

test-latest:  ## the same tests on the TFX 1.21 line in a Debian 13 folder (root; any Linux)
	@DEBIAN13='$(DEBIAN13)' TARGET='$(TARGET)' ARGS='$(ARGS)' WORKERS='$(WORKERS)' scripts/test-latest

mlmd-check: setup  ## ML Metadata on MariaDB: its tests against a server of Debian's packages
	@scripts/mlmd-check $(VENV)/bin/python

image-check: setup  ## build the images of containers/ with buildah and run a pipeline's tasks in them (root)
	@VENV='$(VENV)' scripts/image-check

lock: setup  ## write requirements/*.txt anew; with UPGRADE=1 from scratch
	@$(VENV)/bin/python scripts/lock.py --uv $(VENV)/bin/uv --date $(LOCK_DATE) $(if $(UPGRADE),--upgrade)

clean:  ## remove the venvs, caches and build/
	@scripts/clean
