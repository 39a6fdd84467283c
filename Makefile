# Each target makes the environment that it needs, once: the stamps in .venv hold the pyproject.toml that was installed.

PYTHON ?= python3
BIN := .venv/bin
# A process of tests on every core, at most eight.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal
DEMO := runs/demo-$(shell date +%Y%m%d-%H%M%S)

.PHONY: help demo test test-quick verify lint clean
.DEFAULT_GOAL := help
# Two installations at a time would spoil one another.
.NOTPARALLEL:

help:
	@echo 'make demo        search a DARTS cell and retrain what was found, a few minutes on two CPU cores'
	@echo 'make test        the tests'
	@echo 'make test-quick  the tests, without those that take long'
	@echo 'make verify      check some of the published results on this machine, in less than ten minutes'
	@echo 'make lint        ruff and mypy'
	@echo 'make docs        the documentation as a site, in site/; a broken link fails'
	@echo 'make clean       remove the environment and what tools have cached; runs/ and data/ stay'
	@echo 'Another Python than python3: make clean, then make demo PYTHON=python3.12'

demo: .venv/installed-run
	$(BIN)/python run_experiment.py --space darts --strategy darts --out $(DEMO)/search
	$(BIN)/python run_experiment.py --retrain $(DEMO)/search/best.json --out $(DEMO)/retrain

test: .venv/installed-test
	$(PYTEST)

test-quick: .venv/installed-test
	$(PYTEST) -m "not slow"

verify: .venv/installed-run
	$(BIN)/python benchmarks/verify.py

lint: .venv/installed-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

.PHONY: docs
docs: .venv/installed-docs
	rm -rf site
	$(BIN)/python -m zensical build --clean --strict
	rm -rf site/scripts

clean:
	rm -rf .venv site .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A pyproject.toml that is newer than the stamp but says the same, as after a checkout, installs nothing.
.venv/installed-run .venv/installed-test .venv/installed-dev .venv/installed-docs: .venv/installed-%: pyproject.toml | $(BIN)/pip
	@if cmp -s pyproject.toml $@; then touch $@; else \
		echo 'Installing into .venv; torch is large, so the first time takes minutes.'; \
		$(BIN)/python -m pip install --quiet --editable '.$(addprefix [,$(addsuffix ],$(subst run,,$*)))' \
			|| { echo 'make: the installation failed, see above; it needs a network the first time' >&2; exit 1; }; \
		cp pyproject.toml $@; \
	fi

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "make: $(PYTHON) is no Python from 3.10 to 3.13, but: `$(PYTHON) --version 2>&1 | tail -n 1`; name another: make PYTHON=python3.12 ..." >&2; \
		exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo 'make: $(PYTHON) -m venv failed, see above; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
