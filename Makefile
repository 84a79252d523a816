# Two commands do everything on a machine with Python 3.11 or newer and make:
#   make train   installs, trains on built-in soundscapes, prints a table of scores
#   make test    installs, checks style and types, runs the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: train test install lint pytest

train: $(VENV)/.installed
	$(BIN)/python -m gcrnn_jax.main --config=configs/laptop.py

test: $(VENV)/.installed-test
	$(MAKE) --no-print-directory -j2 lint pytest

pytest: $(VENV)/.installed-test  # in four processes: many tests wait for others
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

install: $(VENV)/.installed

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@ $(VENV)/.installed
