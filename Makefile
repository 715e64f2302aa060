# make run    the demo cohort, from count matrices to results/report/index.html
# make test   every test
# make help   everything else
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
PEERS := .venv/.peers
DEMO := demo/.complete
SIMULATOR := $(wildcard workflow/relapsescope/simulate/*.py resources/simulate/*)

RESULTS ?= results

.PHONY: help run demo-data check-inputs unlock report figures check expected docs crate test test-cluster lint bench bench-resources bench-cluster peers lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(READY) demo-data ## The demo cohort from count matrices to report (CORES=2, ARGS="…" for Snakemake)
	$(BIN)/snakemake --workflow-profile workflow/profiles/default --cores $(CORES) $(ARGS)
	echo "Open results/report/index.html in a browser."

demo-data: $(DEMO) ## Simulate the demo cohort into demo/

$(DEMO): $(SIMULATOR) | $(READY)
	rm -rf demo
	$(BIN)/relapsescope simulate demo
	touch $@

check-inputs: $(READY) demo-data ## Check the sheet, the clinical tables and every matrix's header
	$(BIN)/relapsescope check

unlock: $(READY) ## After a run was killed outright (power, SIGKILL): then make run goes on
	$(BIN)/snakemake --unlock

report: run ## Snakemake's own report of the run, results/report/snakemake.html
	$(BIN)/snakemake --workflow-profile workflow/profiles/default --report results/report/snakemake.html

figures: $(READY) ## Every figure of a run again, from its source data alone (RESULTS=folder)
	$(BIN)/relapsescope figures $(RESULTS)

EXPECTED := tests/expected/demo
check: run ## Run the demo cohort, then say for each panel and table whether it is as deposited
	$(BIN)/relapsescope compare results $(EXPECTED)

expected: run ## Make the demo cohort's results the deposited ones (after a change that is meant)
	$(BIN)/relapsescope deposit results $(EXPECTED)

docs: $(READY) ## docs/outputs.md anew, after a change of resources/columns.tsv
	$(BIN)/python -c "from relapsescope.deposit.columns import outputs_page; print(outputs_page(), end='')" > docs/outputs.md

crate: $(READY) ## Describe a run as an RO-Crate for a deposit (RESULTS=folder)
	$(BIN)/relapsescope crate $(RESULTS)

test: $(READY) ## Every test (ARGS="-k name" for some)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-cluster: $(READY) ## The workflow on a real SLURM, started on this machine for the tests
	tests/system-packages.sh cluster
	$(BIN)/python -m pytest -m cluster tests/cluster $(ARGS)

lint: $(READY) demo-data ## Style of the code and of the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakemake --lint

SHEET ?= ../shared/data/carpall/samples.tsv
BASE ?= $(shell git describe --tags --abbrev=0 2>/dev/null)
bench: $(READY) $(PEERS) ## CPU beside a plain scanpy script and an earlier build (SHEET=…, BASE=commit, ARGS="--repeats 1 …")
	rm -rf results/bench
	git worktree prune
	$(if $(BASE),git worktree add --detach results/bench/base $(BASE))
	$(BIN)/python benchmarks/bench.py $(SHEET) --work results/bench $(if $(BASE),--base results/bench/base) $(ARGS)

GRID := tiny=1 tiny=5 tiny=25
bench-resources: $(READY) ## Fit memory and time of every rule to a grid of simulated cohorts (RUNS="more runs")
	for cohort in $(GRID); do
	  run=results/bench/resources/$${cohort/=/_}
	  rm -rf $$run && mkdir -p $$run && cp -r config $$run/
	  $(BIN)/relapsescope simulate $$run/cohort --plan tests/runs/plans/$${cohort%=*}.yaml --scale $${cohort#*=}
	  $(BIN)/snakemake --snakefile Snakefile --workflow-profile workflow/profiles/default --cores 1 \
	    --directory $$run --config samples=cohort/samples.tsv clinical=cohort/clinical results=results cellxgene=true
	done
	$(BIN)/python benchmarks/fit_resources.py results/bench/resources/* $(RUNS) --write

bench-cluster: $(READY) ## 200 libraries, five of them broken, on a local SLURM: jobs, overhead (half an hour; ARGS="--cells 200")
	tests/system-packages.sh cluster
	rm -rf results/bench/cluster
	$(BIN)/python tests/cluster/local_slurm.py \
	  $(BIN)/python benchmarks/cluster_scale.py results/bench/cluster $(ARGS)
	$(BIN)/python benchmarks/fit_resources.py results/bench/cluster --check

$(READY): envs/lock.txt pyproject.toml
	@fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
	python=
	for name in python3.13 python3.12 python3.11 python3; do
	  if "$$name" -c "$$fits" >/dev/null 2>&1; then python=$$name; break; fi
	done
	if [ -z "$$python" ]; then
	  echo "Relapsescope needs Python 3.11, 3.12 or 3.13 with venv (python3 is $$(python3 --version 2>/dev/null || echo not there)). Install one (Debian: apt install python3.11-venv; conda: conda create -n py311 python=3.11) and run make again." >&2
	  exit 1
	fi
	echo "Setting up .venv from envs/lock.txt with $$("$$python" --version) (once, a few minutes) …"
	"$$python" -m venv --clear .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check $$(grep '^torch==' envs/lock.txt)
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r envs/lock.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -e .
	touch $@

peers: $(PEERS) ## Install the methods that ours are compared with (benchmarks; not for runs)

$(PEERS): envs/lock-peers.txt | $(READY)
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r envs/lock.txt -r envs/lock-peers.txt
	touch $@

lock: $(READY) ## Pin the newest that requirements allow: envs/lock.txt, lock-peers.txt, relapsescope.yaml
	$(BIN)/python envs/lock.py

clean: ## Remove results, demo data and environment
	rm -rf results demo .venv .snakemake
