# Every target sets up what it needs: `make demo` and `make test` are all a newcomer has to know.
#
#   make demo [SEED=1]   tiny base model → GRPO → pass@k before and after
#   make demo-real       the same with SmolLM2-135M-Instruct: a few worked solutions, then GRPO
#   make test            the whole test suite
#   make test-long       the long matrices, marked `long`
#   make test-gpu        what only a GPU shows
#   make lint            ruff, mypy, import contracts
#   make app             compare checkpoints in the browser
#   make bench           measurements against peers
#   make bench-check     the quick ones again: which ratio fell? [UPDATE=1] [DATA=folder]
#   make ladder          every algorithm on one task: two hours on two cores
#   GPU=1 make …         the CUDA build of vLLM instead of the CPU build
#   make resolve-gpu     do the versions of the CUDA build fit together? (installs nothing)

PYTHON ?= python3
SEED ?= 0
PORT ?= 7860
VENV := .venv
BIN := $(VENV)/bin

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

# One list of versions and one stamp for each build: the CUDA build pins packages of its own.
BUILD := $(if $(GPU),gpu,cpu)
CONSTRAINTS := constraints-$(BUILD).txt
STAMP := $(VENV)/.installed-$(BUILD)

# Local wheels are those of the CPU build, and would be taken for the CUDA build's.
export UV_FIND_LINKS := $(if $(GPU),,$(PIP_FIND_LINKS))
export TOKENIZERS_PARALLELISM := false
export HF_HUB_DISABLE_TELEMETRY := 1
export GRADIO_ANALYTICS_ENABLED := False
# Without compiled files `import peft` takes three times as long, and every test of a command pays.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-real test test-long test-gpu lint app bench bench-check ladder setup resolve-gpu clean
.DEFAULT_GOAL := demo

setup: $(STAMP)

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@echo "Setting up $(VENV) (two or three minutes the first time) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) \
		$(BACKEND) --editable ".[dev$(if $(EXTRAS),$(shell printf ',')$(EXTRAS))]"
	@rm -f $(VENV)/.installed*
	@touch $@

# Do the CUDA build's versions fit together? Resolves, installs nothing; runs in CI.
resolve-gpu:
	@test -x $(BIN)/uv || $(MAKE) setup
	@UV_FIND_LINKS= $(BIN)/uv pip compile --quiet pyproject.toml --extra gpu --extra dev --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --constraint constraints-gpu.txt --output-file /dev/null
	@echo "GPU=1 make setup resolves."

demo: $(STAMP)
	@$(BIN)/python -m train.demo --seed $(SEED)

demo-real: $(STAMP)
	@$(BIN)/python -m train.demo smollm2 --seed $(SEED)

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-long: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long --numprocesses 2 --dist loadfile

test-gpu: $(STAMP)
	MATHGRPO_TEST_GPU=1 $(BIN)/python -m pytest tests/test_gpu.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

app: $(STAMP)
	@$(BIN)/python -m app --port $(PORT)

# The peers get an environment of their own, .venv-peers, when the first of them is needed.
bench: $(STAMP)
	@test -d runs/base-seed0 || $(BIN)/python -m train.demo
	$(BIN)/python benchmarks/checker.py
	$(BIN)/python benchmarks/check_many.py
	$(BIN)/python benchmarks/sampling.py runs/base-seed0 --grow
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/losses.py
	$(BIN)/python benchmarks/grpo_step.py toy --seeds 0,1,2
	$(BIN)/python benchmarks/app.py runs

bench-check: $(STAMP)
	@$(BIN)/python benchmarks/check.py $(if $(UPDATE),--update) $(if $(DATA),--data $(DATA))

ladder: $(STAMP)
	@test -d runs/base-seed0 || $(BIN)/python -m train.demo
	$(BIN)/python benchmarks/ladder.py runs/base-seed0 runs/ladder

clean:
	rm -rf runs
