# Two commands: `make demo` runs the whole road on sample_data/, `make test` checks everything. Both make their own
# environment in .venv and need nothing but Python 3.11+.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Threads that wait asleep cost a sixth of the speed on idle cores and save two thirds of it on busy ones.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test lint clean

demo: $(VENV)/ready
	$(BIN)/postgrad run demo-base
	$(BIN)/postgrad run demo

test: $(VENV)/ready lint
	$(BIN)/python -m pytest

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "postgrad needs Python 3.11 or newer; say  make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
