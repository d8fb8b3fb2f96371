.DEFAULT_GOAL := check
BIN := .venv/bin
TESTS_AT_ONCE ?= 3
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

.PHONY: install lock format lint types layers test cover build check demo clean soak test-langgraph-dev help

install: .venv/bin/uv ## Create .venv from requirements/*.txt: every file checked against its hash
	$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
.venv/bin/uv: requirements/uv.txt
	python3 -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/uv.txt
	touch $@
lock: .venv/bin/uv ## Resolve again; `make lock UPGRADE=--upgrade` moves every pin
	echo uv | $(LOCK) $(UPGRADE) --output-file requirements/uv.txt -
	$(LOCK) $(UPGRADE) --group dev --all-extras --output-file requirements/dev.txt pyproject.toml
format: ## Rewrite the code in the house style
	$(BIN)/ruff format
	$(BIN)/ruff check --fix-only
lint: ## Format, rules and spelling
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/codespell --skip '*.jsonl' --ignore-words-list technik,selekt,paket,objet,donot,mot,createable,scrip,caf agents checkpoints failsoft graphs nodes tests docs *.md
types: ## mypy, strict
	$(BIN)/mypy
layers: ## Each layer imports only the layers below it
	$(BIN)/lint-imports --no-logo
test: install ## Every test: unit, contract, integration, acceptance; no service is needed
	$(BIN)/pytest --numprocesses $(TESTS_AT_ONCE)
test-langgraph-dev: ## `langgraph dev` serves the shipped agent: an environment of its own
	test -x .venv-langgraph-dev/bin/python || python3 -m venv .venv-langgraph-dev
	.venv-langgraph-dev/bin/python -m pip install --quiet --editable '.[demo]' 'langgraph-cli[inmem]' pytest-timeout pytest-randomly pytest-xdist
	.venv-langgraph-dev/bin/pytest tests/acceptance/test_langgraph_dev.py
soak: install ## The long proofs: 500 events by every door, 300 messages of both agents, five seeds
	FAILSOFT_TEST_EVENTS=500 $(BIN)/pytest tests/acceptance/test_every_door.py
	for seed in 1 2 3 4 5; do for agent in slack-jira email-salesforce; do \
	$(BIN)/failsoft demo $$agent --messages 300 --seed $$seed --json || exit 1; done; done
cover: install ## Which lines no test of this process reached
	$(BIN)/pytest --numprocesses $(TESTS_AT_ONCE) --cov
build: install ## Wheel and sdist, with the locked setuptools
	$(BIN)/uv build --no-build-isolation --quiet
check: install lint types layers ## What CI checks without running a test
demo: install ## Sixty Slack messages become Jira tickets while everything breaks
	$(BIN)/failsoft demo
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | sort
clean: ## Remove what the other verbs made
	rm -rf .venv .venv-langgraph-dev build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
