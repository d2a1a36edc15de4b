# Each target does what it needs on a fresh Debian or Ubuntu machine, and nothing twice.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup chromium demo test test-long lint bench

setup: $(READY)

$(READY): pyproject.toml constraints.txt $(wildcard locales/*/LC_MESSAGES/*.po)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pybabel --quiet compile --directory locales --domain bot
	touch $(READY)

demo: setup
	$(BIN)/kandinsky-bot demo

test: setup chromium
	$(BIN)/pytest -m 'not long and not gpu'

test-long: setup chromium
	$(BIN)/pytest -m 'not gpu'

# One test drives the chat page; without root or apt it is skipped, except in CI.
chromium:
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } > /dev/null \
	|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium > /dev/null; } \
	|| echo "There is no Chromium here: the test of the chat page is skipped."

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks.nano
	$(BIN)/python -m benchmarks.line
