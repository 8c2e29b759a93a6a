# flowdistill: `make help` lists the targets. Everything runs in .venv, which `make setup` creates.
# Another environment: make test VENV=/path/to/env (its bin/ must contain what `make setup` installs).

PYTHON ?= python3
VENV ?= .venv
# Other versions, as the workflow's jobs with the oldest and the newest PyTorch install them: make setup CONSTRAINTS=file
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SEED ?= 0
SEEDS ?= 0 1 2
JOBS ?=
CHECKPOINT ?=
TESTS ?=
# Tests run in two processes with one thread each: small tensors do not benefit from more threads.
TEST_ENV := OMP_NUM_THREADS=1 NO_ALBUMENTATIONS_UPDATE=1

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-distill demo-long ablation reproduce-kitti reproduce-sintel sweep test test-slow coverage docs kernels gpu-check lint typecheck format

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv and install flowdistill with the versions of constraints.txt (CONSTRAINTS=)

$(READY): pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	@touch $@

demo: $(READY) ## Render data, train DDFlow and DWARF, compare with baselines (6 to 10 minutes; SEED=0)
	$(BIN)/flowdistill demo --seed $(SEED)

demo-distill: $(READY) ## Train DDFlow's teacher, student and control (resumable; SEEDS="0 1 2")
	$(BIN)/flowdistill demo-distill --seeds $(SEEDS)

demo-long: $(READY) ## Pre-train DWARF at its published size on rendered data (40-60 minutes, resumable; SEED=0)
	$(BIN)/flowdistill demo-long --seed $(SEED)

ablation: $(READY) ## After demo-long: adapt with few true labels, many proxy labels, both (resumable; SEEDS="0 1 2" JOBS=2 CHECKPOINT= RELEASED_ZOOM=1)
	$(BIN)/flowdistill ablation --seeds $(SEEDS) $(if $(JOBS),--jobs $(JOBS)) $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT)) $(if $(filter-out 0,$(RELEASED_ZOOM)),--released-zoom)

# 0 and empty mean no, anything else yes. A smoke run has its own data and ignores a DATA_ROOT of the environment.
SMOKES := $(filter-out 0,$(SMOKE))
ROOT := $(if $(and $(SMOKES),$(filter environment,$(origin DATA_ROOT))),,$(DATA_ROOT))
REPRODUCE = $(BIN)/flowdistill $@ $(if $(ROOT),--data-root "$(ROOT)") $(if $(OUTPUT),--output "$(OUTPUT)") \
  $(if $(STAGES),--stages $(STAGES)) $(if $(DEVICES),--devices $(DEVICES)) $(if $(DEVICES_EACH),--devices-each $(DEVICES_EACH)) \
  $(if $(NODES),--nodes $(NODES)) $(if $(ACCELERATOR),--accelerator $(ACCELERATOR)) \
  $(if $(filter-out 0,$(DRY_RUN)),--dry-run) $(if $(SMOKES),--smoke) $(if $(SEED),--seed $(SEED))
reproduce-kitti: $(READY) ## Reproduce both papers on KITTI: DATA_ROOT=... [STAGES= DEVICES= DEVICES_EACH= NODES= ACCELERATOR= OUTPUT= DRY_RUN=1]; without data SMOKE=1
	$(REPRODUCE)

reproduce-sintel: $(READY) ## Reproduce DDFlow on MPI-Sintel, with the same variables
	$(REPRODUCE)

sweep: $(READY) ## Register a sweep with W&B and start an agent (SWEEP=configs/sweeps/... COUNT=); without an account: flowdistill sweep run
	$(BIN)/flowdistill sweep wandb $(or $(SWEEP),$(error set SWEEP= to a file of configs/sweeps/)) $(if $(COUNT),--count $(COUNT))

test: $(READY) ## Run the tests
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(READY) ## Run the tests that take minutes each
	$(TEST_ENV) $(BIN)/python -m pytest -m slow

# sys.monitoring, from Python 3.12 on, costs less than the tracer.
coverage: $(READY) ## Run the tests and list the files with lines that no test reached (TESTS=tests/formats)
	$(TEST_ENV) COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
	  $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --cov --cov-report=term:skip-covered $(TESTS)

# Strict: a broken link, or a page that no menu names, ends it.
docs: $(READY) ## Build the documentation site into build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

kernels: $(READY) ## Compile every Triton kernel ahead of time, without a GPU: registers, spills, loads
	$(BIN)/python -m flowkernels.ahead_of_time kernels/resources.json

gpu-check: $(READY) ## On a GPU: check exactness, equal bits, times, training steps; writes docs/kernels.md (under 8 minutes)
	$(BIN)/python benchmarks/gpu_check

lint: $(READY) ## Check style, formatting and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	git ls-files -z | xargs -0 $(BIN)/codespell

typecheck: $(READY) ## Check types
	$(BIN)/mypy

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
