# make report   set up, run every question, write reports/index.html
# make check    set up, lint, run the tests that take no time: under a minute
# make test     set up, lint, run the whole suite
# make test-loaded   the whole suite three times, beside a load that takes all CPUs
# make lab      set up, open JupyterLab on the notebooks
# make docs     the pages of docs/ and the notebooks as a site: docs/_site/index.html
# make fuzz     look for inputs that are neither read nor refused: MINUTES for each kind
# make bench    time everything, write the tables into docs/performance.md
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CI_KERNELS ?= .cache/kernels
WORKERS ?= 2
MINUTES ?= 60
PYTEST := $(BIN)/python -m pytest -n $(WORKERS)
export NUMALAB_KERNELS ?= $(abspath $(CI_KERNELS))
export MPLBACKEND := Agg
export PYDEVD_DISABLE_FILE_VALIDATION := 1

.PHONY: report quick lab check test test-loaded fuzz lint golden bench docs lock kernels env clean

env: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "numalab needs Python 3.11 or newer; $$($(PYTHON) --version) found. Use: make PYTHON=python3.11"; exit 1; }
	@echo "[1/3] making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/3] installing the locked dependencies (about 150 packages, a few minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@echo "[3/3] installing numalab"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

report: $(READY)
	@echo "running the questions (the engine compiles on its first run: about a minute)"
	@$(BIN)/numalab report

quick: $(READY)
	@$(BIN)/numalab report --quick

# NUMALAB_LAB: more options, such as --no-browser on a machine without a screen.
lab: $(READY)
	@$(BIN)/jupyter lab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks $(NUMALAB_LAB)

lint: $(READY)
	@echo "lint: ruff, import-linter, mypy"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

check: lint
	@echo "quick tests (the engine compiles on its first run: about a minute)"
	@$(PYTEST) -m "not (kernel or cluster or notebook or statistical or slow)"

test: lint
	@echo "tests (the engine compiles on its first run: about a minute)"
	@$(PYTEST) -rs --durations=20

# No test may need an idle machine: one busy loop for each CPU takes half of it.
test-loaded: lint
	@trap 'kill $$(jobs -p)' EXIT; \
	for cpu in $$(seq $$(nproc)); do $(BIN)/python -c 'while True: pass' & done; \
	for run in 1 2 3; do echo "run $$run beside a load"; $(PYTEST) -rs || exit 1; done

fuzz: $(READY)
	@for file in tests/fuzz/[a-z]*.py; do \
	  $(BIN)/python -m tests.fuzz.$$(basename $$file .py) --minutes $(MINUTES) || exit 1; done

# What every number is held to: run it where a change of numbers is meant, and say why in the
# commit that changes tests/golden/digests.json.
golden: $(READY)
	@$(BIN)/python -m tests.golden.digests

bench: $(READY)
	@mkdir -p .cache
	@$(BIN)/python -m pytest benchmarks -rs -p no:cacheprovider --benchmark-sort=name \
	  --benchmark-columns=median,min,max,rounds --benchmark-json=.cache/bench.json
	@$(BIN)/python benchmarks/table.py .cache/bench.json docs/performance.md

# mkdocs wants its pages in a folder of their own, outside that of the site.
docs: $(READY)
	@rm -rf .cache/docs docs/_site && mkdir -p .cache/docs/reports
	@cp docs/*.md .cache/docs
	@sed 's/](docs\//](/g' README.md > .cache/docs/index.md
	@for folder in $$(grep -o '(reports/[^/]*' README.md | tr -d '('); do \
	  cp -r $$folder .cache/docs/reports; done
	@for file in notebooks/q*.ipynb; do name=$$(basename $$file .ipynb); \
	  echo "* [$$name](notebooks/$$name.html)"; done | cat <(printf '# Notebooks\n\n') - > .cache/docs/notebooks.md
	@$(BIN)/mkdocs build -q
	@$(BIN)/jupyter nbconvert --log-level=WARN --to html --output-dir docs/_site/notebooks notebooks/q*.ipynb
	@echo "open docs/_site/index.html"

kernels:
	@.ci/fetch-kernels $(NUMALAB_KERNELS)

lock:
	@$(BIN)/python -m pip install -q uv
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate -q -o requirements.lock

clean:
	rm -rf $(VENV) .cache reports/run
