# Every target sets up what it needs: `make demo` and `make test` are all a newcomer has to know.
#
#   make demo [SEED=1]   tiny base model → GRPO → pass@k before and after
#   make test            the whole test suite
#   make lint            ruff, mypy, import contracts
#   make app             compare checkpoints in the browser
#   make bench           measurements against peers
#   make ladder          every algorithm on one task: two hours on two cores
#   GPU=1 make …         the CUDA build of vLLM instead of the CPU build

PYTHON ?= python3
SEED ?= 0
PORT ?= 7860
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

UNAME := $(shell uname -s)-$(shell uname -m)
ifdef GPU
EXTRAS := gpu
else ifeq ($(UNAME),Linux-x86_64)
EXTRAS := cpu
# The CPU build of torch: from local wheels where pip is told of some, else from PyTorch's index.
ifndef PIP_FIND_LINKS
BACKEND := --torch-backend cpu
endif
else
$(info No vLLM build for $(UNAME): sampling uses the embedded torch backend.)
endif

export UV_FIND_LINKS := $(PIP_FIND_LINKS)
export TOKENIZERS_PARALLELISM := false
export HF_HUB_DISABLE_TELEMETRY := 1
export GRADIO_ANALYTICS_ENABLED := False
# Without compiled files `import peft` takes three times as long, and every test of a command pays.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint app bench ladder setup clean
.DEFAULT_GOAL := demo

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (two or three minutes the first time) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt \
		$(BACKEND) --editable ".[dev$(if $(EXTRAS),$(shell printf ',')$(EXTRAS))]"
	@touch $@

demo: $(STAMP)
	@$(BIN)/python -m train.demo --seed $(SEED)

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

app: $(STAMP)
	@$(BIN)/python -m app --port $(PORT)

bench: $(STAMP)
	@test -d runs/base-seed0 || $(BIN)/python -m train.demo
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt \
		$(BACKEND) --editable ".[peers$(if $(EXTRAS),$(shell printf ',')$(EXTRAS))]"
	$(BIN)/python benchmarks/checker.py
	$(BIN)/python benchmarks/check_many.py
	$(BIN)/python benchmarks/sampling.py runs/base-seed0
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/losses.py
	$(BIN)/python benchmarks/grpo_step.py runs/base-seed0
	$(BIN)/python benchmarks/app.py runs

ladder: $(STAMP)
	@test -d runs/base-seed0 || $(BIN)/python -m train.demo
	$(BIN)/python benchmarks/ladder.py runs/base-seed0 runs/ladder

clean:
	rm -rf runs
