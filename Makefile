# Everything a newcomer needs: `make demo` and `make test` set themselves up. CI runs `make check` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help setup demo quick slurm test long bench check audit docs format clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
AUDIT := .venv-audit
SITE := .venv-docs
CODE := src tests scripts
QUICK := $(addprefix tests/,maths crash contracts parts)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first Python that is new enough; name another with `make setup PYTHON=...`.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(NEW_ENOUGH)' 2>/dev/null && { echo $$p; break; }; done)

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## create .venv and install the locked versions

$(STAMP): requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c '$(NEW_ENOUGH)' || { \
		echo "error: Python must be 3.11 or later, got: $$(python3 --version 2>&1)."; \
		echo "       Install one, or name it: make setup PYTHON=/path/to/python3.11"; exit 2; } >&2
	@echo "Installing into $(VENV); the first time takes some minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $(STAMP)

demo: setup  ## train SAFE against PPO on three seeds and write the comparison
	$(BIN)/safelab train -m +sweep=demo
	$(BIN)/safelab report outputs/demo

quick: setup  ## run the tests of parts and formulas, in a minute or two: for while you edit
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(QUICK)

slurm: setup  ## unpack SLURM into .slurm for its tests, where apt-get can; nothing is installed
	@$(BIN)/python -m scripts.tools.slurm .slurm || true

test: setup slurm  ## run all tests but those that take a minute or more each
	$(BIN)/python -m pytest -n 2 --dist worksteal

long: setup slurm  ## run what `make test` leaves out: tutorials, notebooks, a sweep on Ray, SLURM's longest
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long

bench: setup  ## say what became over 10 % slower than the stored baseline, in some minutes
	$(BIN)/python -m scripts.bench.compare

check: setup  ## lint, formatting, types, who may import whom
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

audit:  ## look for known vulnerabilities in the locked versions
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet pip-audit; }
	$(AUDIT)/bin/pip-audit --strict --requirement requirements.lock --no-deps --disable-pip

docs: setup $(SITE)/.installed  ## build the documentation site: site/index.html
	$(BIN)/python -m scripts.docs
	$(SITE)/bin/zensical build --clean --strict
	$(BIN)/python -m scripts.docs.offline site
	@echo "$(CURDIR)/site/index.html"

# The site's builder has an environment of its own; the pins are the extra `docs` of pyproject.toml.
$(SITE)/.installed: pyproject.toml | setup
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet $$($(BIN)/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	@touch $@

format: setup  ## mend formatting and what the linter can mend
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

clean:  ## remove caches and build products (.venv and outputs stay)
	rm -rf $(AUDIT) $(SITE) build dist site .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests scripts -type d -name __pycache__ -prune -exec rm -rf {} +
