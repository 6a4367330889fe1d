# Daily work. `make` alone prints this list. Several instances run side by side with PORT and COUNTERSIGN_HOME of their own.
.POSIX:
.SILENT:
.SUFFIXES:

BIN = .venv/bin
PORT ?= 8000
HOST ?= 127.0.0.1
COUNTERSIGN_HOME ?= var
ENVIRONMENT = PORT=$(PORT) HOST=$(HOST) COUNTERSIGN_HOME=$(COUNTERSIGN_HOME)
# What pytest is given besides what the suite needs, such as TESTS="tests/core -x".
TESTS ?=

help: ## print this list
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	echo "  settings: PORT=$(PORT) HOST=$(HOST) COUNTERSIGN_HOME=$(COUNTERSIGN_HOME); docs/settings.md has the rest"

setup: ## make .venv with the locked dependencies; instant when nothing changed
	sh scripts/setup.sh

lock: ## write the lock files anew from pyproject.toml (UPGRADE=1: newest of everything)
	sh scripts/lock.sh

check: setup ## format, lint, types, layers, migrations, templates, container files
	sh scripts/check.sh

test: setup check ## check, then all tests on SQLite (TESTS="tests/core -x" for some)
	sh scripts/test.sh $(TESTS)

run: setup ## serve an instance of your own until Ctrl-C
	exec env $(ENVIRONMENT) $(BIN)/python -m scripts.stack

demo: setup ## see the main job happen: from a training run to a countersigned production model
	exec env $(ENVIRONMENT) $(BIN)/python -m demo

bench: setup ## measure requests per second against an instance of its own
	exec $(BIN)/python -m benchmarks

docs: setup ## write the pages that are made from the code
	$(BIN)/python -m scripts.document

clean: ## remove what can be made again: .venv, caches, the local instance in var
	rm -rf .venv .venv-uv var staticfiles .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup lock check test run demo bench docs clean
