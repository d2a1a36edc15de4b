# Each target does what it needs on a fresh Debian or Ubuntu machine, and nothing twice.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-long lint bench

setup: $(READY)

$(READY): pyproject.toml constraints.txt $(wildcard locales/*/LC_MESSAGES/*.po)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pybabel --quiet compile --directory locales --domain bot
	touch $(READY)

demo: setup
	$(BIN)/kandinsky-bot demo

test: setup
	$(BIN)/pytest -m 'not long and not gpu'

test-long: setup
	$(BIN)/pytest -m 'not gpu'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks.nano
	$(BIN)/python -m benchmarks.line
