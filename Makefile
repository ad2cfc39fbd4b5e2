# roadscan. Every target sets up what it needs; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/tools/.ready
ARGS ?=
# Of `make fuzz`.
INPUTS ?= 5000
SEED ?= 19
# Of `make chaos`.
SEEDS ?= 200
# Two clusters fit beside one another on two cores and in 8 GB; WORKERS=0 runs the tests one after another.
WORKERS ?= 2
PARALLEL := --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder
# Where this is set, each of the hundreds of processes that tests start would compile our modules anew.
export PYTHONDONTWRITEBYTECODE :=
# Without those that need root, a card or arguments.
BENCHMARKS := $(filter-out %_faults.py %_gpu.py %_images.py %_losses.py %_ablation.py %_slices.py %_masks.py %_viewer.py %_export.py, $(sort $(wildcard tests/benchmarks/bench_*.py)))

.DEFAULT_GOAL := help
.PHONY: help demo demo-model test test-fast fuzz chaos check docs bench

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: $(READY) ## three survey nights in a real S3 store become an inventory with pictures, in demo-out/
	rm -rf demo-out
	$(BIN)/roadscan demo demo-out

demo-model: $(READY) ## train the demo model again (hours on a CPU)
	$(BIN)/python jobs/demo_model.py jobs/configs/demo_model.yaml

test: $(READY) $(TOOLS) ## all tests, or some: make test ARGS="tests/scan -k gpus"
	$(BIN)/pytest $(PARALLEL) $(ARGS)

test-fast: $(READY) $(TOOLS) ## the tests that start neither Ray nor S3 and are no long ones
	$(BIN)/pytest $(PARALLEL) -m "not (slow or ray or s3)" $(ARGS)

fuzz: $(READY) ## spoiled files of every kind, INPUTS=5000 of them, SEED=19
	FUZZ_INPUTS=$(INPUTS) FUZZ_SEED=$(SEED) $(BIN)/pytest --numprocesses=0 tests/fuzz

chaos: $(READY) ## nights, trainings and sweeps that faults befall by chance, then spoiled files: make chaos SEEDS=200 (hours)
	PYTHONPATH=tests $(BIN)/python -m chaos.campaign --seeds $(SEEDS)
	PYTHONPATH=tests $(BIN)/python -m chaos.trainings --seeds 10
	$(MAKE) fuzz INPUTS=5000

check: $(READY) ## format, lint, types, layers, generated pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/pages.py --check

docs: $(READY) ## write the generated parts of jobs/README.md and roadscan/README.md again
	$(BIN)/python .ci/pages.py

bench: $(READY) ## measure, side by side with a peer
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# torch comes as its standard build, about 7 GB with CUDA; it runs on CPUs too.
$(READY): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "roadscan needs Python 3.11 or newer; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@

# Checkers of what runs in a cloud: programs of their own, whose pins are not those of the code.
$(TOOLS): .ci/tools.txt | $(READY)
	$(PYTHON) -m venv $(VENV)/tools
	$(VENV)/tools/bin/python -m pip install --quiet --disable-pip-version-check --requirement .ci/tools.txt
	@touch $@
