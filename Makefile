# Every target sets up what it needs: `tools/environment.py` makes (once per requirements.lock) a virtual
# environment outside the checkout. To use an interpreter of your own: make test PYTHON=/path/to/python
SHELL := bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON3 ?= python3
ROOT := $(CURDIR)
# PYTHONPATH makes this checkout the one that is imported, whoever else shares the environment.
export PYTHONPATH := $(ROOT):$(ROOT)/_build/env
# Bytecode goes below _build, and is written: without it every command compiles torch and the tests anew.
export PYTHONPYCACHEPREFIX := $(ROOT)/_build/pycache
export PYTHONDONTWRITEBYTECODE :=
export HYPOTHESIS_STORAGE_DIRECTORY := $(ROOT)/_build/hypothesis
# Two torch processes side by side collapse unless idle threads sleep.
export OMP_WAIT_POLICY := passive

ifdef PYTHON
python = $(PYTHON)
else
python = "$$($(PYTHON3) tools/environment.py $(VERSIONS))"
endif
# Finds the interpreter first, so that a failed set-up ends the recipe with its own message. One line per recipe:
# the make of macOS (3.81) gives each line a shell of its own.
run = python=$(python) && "$$python" -m
WORKERS ?= 2
# Options of make faults: --write for the page, --only WORD, --chapters, --sample N
FAULTS ?=
TESTS ?= tests/house
# Rows of make bench, by how their names begin; without any, all
ROWS ?=
ARGS ?= --help
PORT ?= 8000
# locked, or the oldest or newest versions that pyproject.toml allows (an environment of its own for each)
VERSIONS ?= locked
# What a night executes: chapters by name, or else a tier
CHAPTERS ?=
TIER ?= nightly
# GitHub reads the chapters from here; elsewhere they are printed
GITHUB_OUTPUT ?= /dev/stdout

.PHONY: help book smoke check try test lint adlib faults soak format bench benchsweep serve nightly keephistory lock licences upgrade \
	wheel clean colab links datacheck workflows matrix fetchhistory publishhistory publishcolab issues

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

book: ## execute the chapters and build the pages into _build/html; numbers outside their bands are named, not an error
	@$(run) adlib_book.cli site build

check: lint ## the fast lane, under a minute: lint, and the tests that need no chapter and no browser
	@export OMP_NUM_THREADS=1; $(run) pytest -q -n $(WORKERS) --dist loadscope -m "not chapter and not browser and not slow"

try: ## only the tests named, without lint: make try TESTS="tests/data -k folder"
	@export OMP_NUM_THREADS=1; $(run) pytest -q -n 0 $(TESTS)

test: lint ## everything: lint, and the whole test suite, with every chapter in the smoke profile
	@export OMP_NUM_THREADS=1; $(run) pytest -n $(WORKERS) --dist loadscope

lint: ## style, spelling and types only
	@$(run) ruff check . && "$$python" -m ruff format --check . && "$$python" -m codespell_lib && "$$python" -m mypy

adlib: ## the command adlib of this checkout: make adlib ARGS="data list"
	@$(run) adlib_book.cli $(ARGS)

faults: ## put the catalogue of faults in, one at a time, and say who notices (resumable)
	@python=$(python) && "$$python" tests/faults/put_in.py $(FAULTS)

soak: ## what takes an hour and is run every week: damaged files, killed commands, a hundred thousand photographs, drawn discs
	@export OMP_NUM_THREADS=1; $(run) pytest -q -n $(WORKERS) soak

format: ## put code and notebooks into house style
	@$(run) ruff check --fix . && "$$python" -m ruff format . && "$$python" -m nbstripout --keep-id notebooks/*.ipynb

bench: ## speed beside other libraries, in an environment of theirs, into results/bench.json: ROWS="score import" for some
	@python="$$($(PYTHON3) tools/environment.py peers)" && OMP_NUM_THREADS=1 "$$python" benchmarks/bench.py $(ROWS)

benchsweep: ## what handing tasks to Dask costs, written to _build/benchmarks
	@$(run) pytest benchmarks -q

serve: book ## build, then show the pages on http://127.0.0.1:8000
	@$(run) adlib_book.cli site serve --port $(PORT)

smoke: ## execute the chapters in the smoke profile, seconds each, and build the pages into _build/html-smoke
	@$(run) adlib_book.cli site build --profile smoke

nightly: ## execute every chapter afresh (live profile), hold it against baselines/ and its history, report
	@$(run) adlib_book.cli nightly --tier $(TIER) $(CHAPTERS)

keephistory: ## copy this machine's nights into history/, to be committed
	@$(run) adlib_book.cli history keep

colab: ## run every notebook alone, as Colab would: its packages there, ours installed by the first cell
	@export ADLIB_COLAB=all; $(run) pytest tests/colab -q

links: ## ask every link of the pages that were built last
	@python=$(python) && "$$python" -c "from jupyter_book.cli.main import main; main()" \
		build _build/stage --builder linkcheck --path-output _build/links

datacheck: ## fetch every downloadable data set anew and hold all against their checksums
	@$(run) adlib_book.cli data check

workflows: ## check .github/workflows with actionlint
	@$(run) adlib_book.nightly.workflows

matrix: ## the chapters of a night as JSON, for GitHub's matrix
	@$(run) adlib_book.cli chapters list --tier $(TIER) --json | sed 's/^/chapters=/' >> $(GITHUB_OUTPUT)

fetchhistory: ## the history from its branch into _build/history
	@$(run) adlib_book.nightly.history_branch fetch

publishhistory: ## this night's lines onto the history's branch
	@$(run) adlib_book.nightly.history_branch publish

publishcolab: ## the Colab editions of the notebooks onto the branch that the pages' Colab button names
	@$(run) adlib_book.site.colab

issues: ## open an issue for each failing chapter, close it when it heals
	@$(run) adlib_book.nightly.issues

wheel: ## the package as a wheel, into _build/dist
	@$(run) hatchling build -t wheel -d _build/dist

lock: ## bring requirements.lock up to date with pyproject.toml; what is pinned stays
	@$(PYTHON3) tools/lock.py

upgrade: ## write requirements.lock anew, with the newest versions that pyproject.toml allows
	@$(PYTHON3) tools/lock.py upgrade

licences: ## write book/licences.csv, the licence of every locked package, as its metadata states it
	@python=$(python) && "$$python" tools/licences.py

clean: ## remove what runs have made in this checkout, all but the nights in _build/history
	GLOBIGNORE=_build/history && rm -rf _build/*
