# Everything is installed by `make setup`, which the other targets run by themselves; it is quick when nothing is to do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup python demo test check clean

SETUP := ./deploy/setup.sh
BIN = $(shell $(SETUP) venv)/bin

help: ## say what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 14

python: # the virtual environment alone: all that `make check` needs
	@$(SETUP) python

setup: python ## install what is missing: Debian packages, Python packages, the Java services' jars
	@$(SETUP) system
	@$(SETUP) jars
	@echo "fluxion is $(BIN)/fluxion"

demo: setup ## show it at work: DEMO_SECONDS=60 ends by itself; DEMO_ARGS="--sales-per-second 50"
	@$(BIN)/fluxion demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS)) $(DEMO_ARGS)

# A part of the tests says nothing about coverage, so only the whole of them counts it. They wait more than they work: two at a
# time, each with services of its own; a file's tests stay together, for what they share.
test: setup ## all tests, with the real services, and their coverage; TEST_ARGS="tests/stack -k gtid": a part, without it
ifeq ($(strip $(TEST_ARGS)),)
	@$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=
	@$(BIN)/python -m tests.support.delivery_path --gate
else
	@$(BIN)/pytest $(TEST_ARGS)
endif

check: python ## format, lint, types and the import law, in seconds
	@failed=0; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/ruff format --check . || failed=1; \
	$(BIN)/mypy || failed=1; \
	$(BIN)/lint-imports --no-logo || failed=1; \
	exit $$failed

clean: ## remove what tools left in this folder (never the cache or a stack's data)
	@find . -name .git -prune -o -type d \( -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} +
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* build dist
