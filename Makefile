# Python 3.11 or newer and a package index are all that these need. `make help` lists them.
SHELL := /bin/bash
BIN := .venv/bin
STAMP := .venv/.installed
PLUGINS := plugins/hubtl-example plugins/hubtl-multimodal

# Threads that spin while they wait make training twenty times slower where other programs want the cores too.
export OMP_WAIT_POLICY ?= passive

# The first interpreter that is new enough; the versions in constraints.txt were tried with 3.11.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# Folders whose tests train little; those of the other folders are mostly whole runs.
QUICK := $(addprefix tests/,recipe losses data io judging engine card) $(wildcard tests/test_*.py)

.PHONY: help demo test quick check lint types layers pages flags bench cards docs dist clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 16

demo: $(STAMP)  ## adapt a model to a second domain, into demo-run/
	rm -rf demo-run
	OMP_NUM_THREADS=1 $(BIN)/hubtl adapt examples/digits.yaml --output-dir demo-run  # sums in one order: the same figures again
	@echo
	@echo "model card  demo-run/README.md"
	@echo "plots       demo-run/plots/"
	@echo "model       demo-run/model.safetensors"
	@echo "next        $(BIN)/hubtl label demo-run --page   # settle with a few labels which of its two models is better"

test: check  ## checks and tests, as CI runs them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
	rm -rf .venv/plugins
	$(BIN)/pip install -qq --no-deps --no-build-isolation --target .venv/plugins $(PLUGINS:%=./%)
	for plugin in $(PLUGINS); do \
		OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR)/.venv/plugins $(BIN)/python -m pytest -n 2 --dist worksteal $$plugin || exit; done

quick: $(STAMP)  ## unit tests of recipes, losses, data, judging, engine and cards, in under two minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal \
		-m "not slow and not hub and not ranks and not browser" $(QUICK)

check: lint types layers pages  ## lint, format, types, layers, prose, generated pages

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy
	MYPYPATH=plugins/hubtl-multimodal:. $(BIN)/python -m mypy --config-file pyproject.toml \
		--explicit-package-bases plugins/hubtl-multimodal/hubtl_multimodal

layers: $(STAMP)
	$(BIN)/python -m pytest tests/house/test_layers.py tests/house/test_prose.py

pages: $(STAMP)
	$(BIN)/python docs/generate.py --check
	$(BIN)/python docs/gallery.py --check
	$(BIN)/python benchmarks/tables.py --check

docs: $(STAMP)  ## generate docs/strategies.md and docs/recipes.md again
	$(BIN)/python docs/generate.py

bench:  ## say how to run the benchmarks: make bench DATA=folder
	@echo "DATA is a folder with mnist/ and usps/, each with parquet files of a train and a test split."
	@echo "  $(BIN)/python benchmarks/digits.py $(or $(DATA),DATA) --strategies source-only coral dann mcc --seeds 0 1 2"
	@echo "  $(BIN)/python benchmarks/throughput.py"
	@echo "  $(BIN)/python benchmarks/probe.py PACS   # a folder with photo/*.parquet"
	@echo "  $(BIN)/python benchmarks/tables.py      # docs/benchmarks.md from benchmarks/results/"

cards: $(STAMP)  ## render model_cards/ again, every card from its record, and the index
	@for run in model_cards/*/record.json; do \
		[ -e "$$run" ] || continue; $(BIN)/hubtl card "$$(dirname "$$run")" || exit; done
	$(BIN)/python docs/gallery.py

flags: $(STAMP)  ## write the table of commands and flags again, tests/cli/flags.json
	$(BIN)/python -m tests.cli.flags

dist: $(STAMP)  ## build wheels and source distributions of the three packages, into dist/
	rm -rf dist
	for source in . $(PLUGINS); do \
		(cd $$source && $(CURDIR)/$(BIN)/python -m hatchling build -d $(CURDIR)/dist) || exit; done

clean:  ## remove the environment, caches and the demo's run
	rm -rf .venv demo-run build dist .mypy_cache .ruff_cache *.egg-info
	find . \( -name __pycache__ -o -name .pytest_cache \) -type d -prune -exec rm -rf {} +

# One command, so that torch and torchvision are chosen together.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer on the PATH" >&2; \
		echo "try:   make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "installing into .venv: minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt torch torchvision -e ".[dev,lora]"
	@touch $@
