# Every target makes its own .venv from constraints.txt; only Python 3.11+ and make are needed.
#
# Where pip would fetch a CUDA build of torch that you do not want:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# Tests run in two processes of one thread each: more threads than cores stall one another.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

.PHONY: help demo test test-all bench docs format clean

help:
	@echo "make demo      train four small models on digits and write demo/report.html (5 minutes)"
	@echo "make test      lint, types, layers, tests and doctests"
	@echo "make test-all  the same with the slow, real-size checks"
	@echo "make bench     timings beside those of other libraries"
	@echo "make docs      the documentation as HTML, in docs/_build"
	@echo "make format    format the code"
	@echo "make clean     remove what make made"

demo: $(VENV)/.run
	$(BIN)/ecotone study digits --out demo

test: $(VENV)/.dev lint
	$(TEST) -m "not slow"

test-all: $(VENV)/.dev lint
	$(TEST)

.PHONY: lint
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/neighbours.py
	$(BIN)/python benchmarks/frechet.py
	$(BIN)/python benchmarks/distances.py
	$(BIN)/python benchmarks/coordinates.py
	$(BIN)/python benchmarks/onset_linear.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/unet_training.py
	$(BIN)/python benchmarks/audit.py
	$(BIN)/python benchmarks/audit_size.py --images 10000
	$(BIN)/python benchmarks/command_line.py

docs: $(VENV)/.dev
	$(BIN)/sphinx-build --fail-on-warning --keep-going --builder html docs docs/_build

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo docs/_build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ecotone needs Python 3.11 or later: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/.run
