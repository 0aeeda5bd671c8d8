# What a contributor and CI run. `make help` lists it.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ID ?= 1102444016
DEMO := build/demo

# The first Python that is new enough, sought when it is needed: `system` may have just installed it.
PYTHON = $(shell for name in python3.11 python3 python3.12 python3.13; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$name"; break; }; done)

.PHONY: help demo test check bench reference clean system browser
.DEFAULT_GOAL := help

help:
	@echo 'make demo        set up, pack the reference solution, grade it and print its marks'
	@echo 'make test        the tests'
	@echo 'make check       format, lint, types, import contracts, generated files fresh'
	@echo 'make bench       beside pytest, nbgrader and Otter; installs the last two into build/bench (minutes)'
	@echo 'make reference   execute the solved notebooks anew, training included (an hour or two)'
	@echo 'make clean       remove what was built here, the virtual environment too'

demo: $(READY)
	rm -rf $(DEMO)
	mkdir -p $(DEMO)/handin
	cp reference/notebooks/solved/*.ipynb reference/data/vit.pth $(DEMO)/handin/
	cd $(DEMO)/handin && "$(CURDIR)/CollectSubmission.sh" $(ID) && mv $(ID).tar.gz ..
	$(BIN)/python grade.py $(DEMO)/$(ID).tar.gz --json $(DEMO)/report.json --html $(DEMO)/page.html

test: $(READY) browser
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python grade.py template --check
	$(BIN)/python grade.py schema --check

bench: $(READY)
	$(BIN)/python benchmarks/side_by_side.py $(BENCH)
	$(BIN)/python benchmarks/scale.py $(SCALE)

reference: $(READY)
	$(BIN)/python reference/execute.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage

# An index that offers CPU builds of torch can be named in pip's own way, for example
#     PIP_EXTRA_INDEX_URL=<an index with CPU wheels> make demo
# Without one, pip may take a build for CUDA: it grades the same and takes a few gigabytes more.
$(READY): pyproject.toml constraints.txt | system
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer was not found; install it, or name it: make PYTHON=/path/to/python3' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo 'Installing torch and the rest into $(VENV); this takes a few minutes.'
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev,reference,notebooks]'
	@touch $@

# What the tests of the pages look at them with; where it cannot be had, those tests are skipped.
browser:
	@.ci/browser

# bubblewrap, and venv where Debian packages it apart from Python.
system:
	@.ci/system "$(PYTHON)"
