# Every target sets up what it needs: `tools/environment.py` makes (once per requirements.lock) a virtual
# environment outside the checkout. To use an interpreter of your own: make test PYTHON=/path/to/python
SHELL := bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON3 ?= python3
ROOT := $(CURDIR)
# PYTHONPATH makes this checkout the one that is imported, whoever else shares the environment.
export PYTHONPATH := $(ROOT):$(ROOT)/_build/env
export PYTHONPYCACHEPREFIX := $(ROOT)/_build/pycache
export HYPOTHESIS_STORAGE_DIRECTORY := $(ROOT)/_build/hypothesis
# Two torch processes side by side collapse unless idle threads sleep.
export OMP_WAIT_POLICY := passive

ifdef PYTHON
python = $(PYTHON)
else
python = "$$($(PYTHON3) tools/environment.py)"
endif
# Finds the interpreter first, so that a failed set-up ends the recipe with its own message. One line per recipe:
# the make of macOS (3.81) gives each line a shell of its own.
run = python=$(python) && "$$python" -m
WORKERS ?= 2
PORT ?= 8000

.PHONY: help book test lint format bench serve nightly lock clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

book: ## execute the chapters (book profile) and build the pages into _build/html
	@$(run) adlib.cli site build

test: lint ## style, spelling, and the whole test suite, with every chapter in the smoke profile
	@export OMP_NUM_THREADS=1; $(run) pytest -n $(WORKERS) --dist loadgroup

lint: ## style and spelling only
	@$(run) ruff check . && "$$python" -m ruff format --check . && "$$python" -m codespell_lib

format: ## put code and notebooks into house style
	@$(run) ruff check --fix . && "$$python" -m ruff format . && "$$python" -m nbstripout notebooks/*.ipynb

bench: ## speed of what the chapters run, written to _build/benchmarks
	@$(run) pytest benchmarks -q

serve: book ## build, then show the pages on http://127.0.0.1:8000
	@$(run) adlib.cli site serve --port $(PORT)

nightly: ## execute every chapter in the book profile and hold its numbers against baselines/
	@$(run) adlib.cli chapters run --all --profile book --force

lock: ## write requirements.lock anew from the floors in pyproject.toml
	@$(PYTHON3) tools/lock.py

clean: ## remove everything a run has made in this checkout
	rm -rf _build
