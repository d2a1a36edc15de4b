# Each target does what it needs on a fresh Debian or Ubuntu machine, and nothing twice.
PYTHON ?= python3
BIN := .venv/bin
RUNS := .venv/.runs
READY := .venv/.ready

# Tests start many processes: none shall compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup servers chaos demo test test-long lint bench bench-gpu

setup: $(READY)

# What the bot needs, and no more: a newcomer waits for this.
$(RUNS): pyproject.toml constraints.txt $(wildcard locales/*/LC_MESSAGES/*.po)
	@echo "Installing: some minutes and 1.5 GB, the first time."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/pybabel --quiet compile --directory locales --domain bot
	touch $(RUNS)

$(READY): $(RUNS)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(RUNS)
	$(BIN)/kandinsky-bot demo

# More processes than the smallest machine has cores: tests wait for other processes a third of their time. tests/conftest.py says
# in which order.
IN_PARALLEL := -n 3 --dist loadgroup --no-loadscope-reorder

test: setup servers
	$(BIN)/pytest -m 'not long and not gpu and not alone' $(IN_PARALLEL)
	$(BIN)/pytest tests/chaos -m 'alone and not long'

test-long: setup servers
	$(BIN)/pytest -m 'not gpu and not alone' $(IN_PARALLEL)
	$(BIN)/pytest tests/chaos -m alone

# What tests run privately. Without root or apt the tests of what is missing are skipped, except in CI.
servers:
	@missing=; \
	for part in redis-server:redis-server postgresql:/usr/lib/postgresql rabbitmq-server:/usr/lib/rabbitmq chromium:chromium; do \
		command -v "$${part#*:}" > /dev/null || test -d "$${part#*:}" || missing="$$missing $${part%%:*}"; \
	done; \
	test -z "$$missing" || { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing > /dev/null; } \
	|| echo "Not installed:$$missing. Their tests are skipped."

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup servers
	$(BIN)/python -m benchmarks.nano
	$(BIN)/python -m benchmarks.nano_repaints
	$(BIN)/python -m benchmarks.nano_edits
	$(BIN)/python -m benchmarks.language
	$(BIN)/python -m benchmarks.pencil
	$(BIN)/python -m benchmarks.line
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.engine_counts

# On a machine with a GPU. ROWS="G1 G3" runs these alone; GPU_ARGS=--tiny is the dry run that any CPU does.
bench-gpu: setup
	$(BIN)/python -m benchmarks.gpu $(if $(ROWS),--only $(ROWS)) $(GPU_ARGS)

# SIZE=commit is the run that `make test` makes, here on every side; SIZE=leases kills workers at full leases.
# Each side ends with its report.
SIZE ?= nightly
chaos: setup servers
	$(BIN)/python -m tests.chaos --size $(SIZE)
