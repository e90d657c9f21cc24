# Everything a person types. A machine needs python3 >= 3.11, make, git and a network to the package registries.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
CORES := $(shell nproc)
BIN := .venv/bin
DEMO := .demo
SITE := $(DEMO)/site

# A person's own virtual environment or Python settings have no say in this project's. Without bytecode, pytest would
# prepare every module of tests anew at each run: ten seconds of each core.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE UV_PROJECT_ENVIRONMENT
export UV_PYTHON_PREFERENCE ?= system
export UV_COMPILE_BYTECODE := 1
# The machine's certificates, so that an institution's own authority counts; SSL_CERT_FILE goes before them.
export UV_SYSTEM_CERTS ?= 1
# uv keeps its downloads below HOME; where there is none, below the clone.
ifneq ($(shell [ -n "$${HOME:-}" ] && mkdir -p "$$HOME/.cache" 2>/dev/null && [ -w "$$HOME/.cache" ] && echo yes),yes)
export UV_CACHE_DIR ?= $(CURDIR)/.tools/cache
endif

CODE := src tests tools benchmarks analyses conftest.py
SYNC = "$$($(PYTHON) tools/bootstrap.py)" sync --quiet --frozen --python "$$($(PYTHON) -c 'import sys; print(sys._base_executable)')"
LABEL = @printf '\n== %s\n'

.PHONY: help demo serve test check bench setup docs pins screenshots format clean
.PHONY: packages-to-run packages-to-test compiled check-format check-lint check-types check-imports check-unit test-real

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: packages-to-test .venv/.development compiled ## install all that developing needs (uv, .venv, system packages)

packages-to-run:
	@$(PYTHON) tools/system_packages.py demo

packages-to-test:
	@$(PYTHON) tools/system_packages.py test

# What running needs is set up apart from what developing needs, so that the demo's first run fetches less.
.venv/.running: pyproject.toml uv.lock | packages-to-run
	@echo "setup: installing the project into .venv" >&2
	@$(SYNC) --no-dev --inexact
	@touch $@

.venv/.development: pyproject.toml uv.lock | .venv/.running
	@echo "setup: installing the development tools into .venv" >&2
	@$(SYNC)
	@touch $@

# The validator of RO-Crates wants an older rich than the development tools do, so it has an environment of its own.
.tools/crate/.installed: pyproject.toml uv.lock
	@echo "setup: installing the validator of RO-Crates into .tools/crate" >&2
	@UV_PROJECT_ENVIRONMENT=.tools/crate $(SYNC) --only-group crate
	@touch $@

# Some machines forbid Python to write bytecode while it runs; every start of the program would then compile it anew.
compiled: | .venv/.running
	@$(BIN)/python -m compileall -q src

demo: packages-to-run .venv/.running compiled ## run an analysis of three recordings, verify its certificate
	@[ -d $(SITE) ] || $(BIN)/neurocaas init $(SITE)
	@[ -d $(DEMO)/data ] || { rm -rf $(DEMO)/data.new; \
	    $(BIN)/neurocaas --site $(SITE) sample pca $(DEMO)/data.new; mv $(DEMO)/data.new $(DEMO)/data; }
	@rm -rf $(DEMO)/results
	@$(BIN)/neurocaas --site $(SITE) run pca $(DEMO)/data/* --fresh --out $(DEMO)/results
	@$(BIN)/neurocaas --site $(SITE) verify $(DEMO)/results/certificate.json $(DEMO)/results
	@printf '\nResults:  %s\n' "$(CURDIR)/$(DEMO)/results"
	@find "$(CURDIR)/$(DEMO)/results" -name '*.png' -printf 'Figure:   %p\n' | sort

serve: packages-to-run .venv/.running compiled ## serve a site on this machine: pages, API, job manager
	@[ -d $(SITE) ] || $(BIN)/neurocaas init $(SITE)
	@exec $(BIN)/neurocaas --site $(SITE) serve

check: .venv/.development compiled ## format, lint, types, import rules, unit tests: some minutes
	@$(MAKE) --no-print-directory --keep-going --jobs=$(CORES) --output-sync=target \
	    check-types check-unit check-format check-lint check-imports
	$(LABEL) 'check: all well'

check-format:
	$(LABEL) 'format (ruff format)'
	@$(BIN)/ruff format --check --quiet $(CODE)

check-lint:
	$(LABEL) 'lint (ruff check)'
	@$(BIN)/ruff check $(CODE)

check-types:
	$(LABEL) 'types (mypy --strict)'
	@$(BIN)/mypy src tools conftest.py benchmarks

check-imports:
	$(LABEL) 'import rules (lint-imports)'
	@$(BIN)/lint-imports --no-logo

check-unit:
	$(LABEL) 'unit tests'
	@$(BIN)/pytest -q -n logical -m 'not postgresql and not thorough and not alone' tests/unit

test: setup check test-real docs ## check, and every test with real parts, and the docs

test-real: export PYTEST_ADDOPTS := --durations=25
test-real: .venv/.development .tools/crate/.installed
	$(LABEL) 'contract, system, browser and analysis tests'
	@$(BIN)/pytest -n logical --dist loadgroup -m 'not alone' tests/contract tests/system tests/browser analyses
	$(LABEL) 'tests that judge times, one by one'
	@$(BIN)/pytest -m alone tests/unit tests/system
	$(LABEL) 'thorough unit tests, and those on PostgreSQL'
	@$(BIN)/pytest -q -n logical -m 'postgresql or thorough' tests/unit

docs: .venv/.development ## build the documentation into site/, strictly
	$(LABEL) 'documentation (mkdocs build --strict)'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

screenshots: packages-to-test .venv/.development compiled ## take the pictures of the website's pages in docs/images/web
	@PYTHONPATH=tests $(BIN)/python -m support.screenshots docs/images/web

bench: packages-to-test .venv/.development compiled ## measure overhead, many stacks, many users, uploads and analyses beside peers
	@UV_PROJECT_ENVIRONMENT=.tools/bench $(SYNC) --only-group bench
	@$(BIN)/python -m benchmarks.overhead --peers .tools/bench/bin
	@$(BIN)/python -m benchmarks.scale
	@$(BIN)/python -m benchmarks.stacks
	@$(BIN)/python -m benchmarks.users
	@$(BIN)/python -m benchmarks.transfer
	@$(BIN)/python -m benchmarks.pmd
	@$(BIN)/python -m benchmarks.locanmf
	@$(BIN)/python -m benchmarks.widefield

pins: .venv/.running ## pin the bundled composite analyses to the others as they are
	@$(BIN)/python tools/pin_analyses.py

format: .venv/.development ## format and repair what ruff can
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

clean: ## remove what the targets made, the demo's site among it
	@if [ -x $(BIN)/neurocaas ] && [ -d $(SITE) ]; then $(BIN)/neurocaas --site $(SITE) manager stop || true; fi
	@rm -rf __pycache__ .venv .tools .artefacts $(DEMO) site dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests tools benchmarks analyses -name __pycache__ -prune -exec rm -rf {} +
