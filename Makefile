.DEFAULT_GOAL := check
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

.PHONY: install lock format lint types layers test cover build check demo clean soak

install: .venv/bin/uv ## Create .venv from requirements/*.txt: every file checked against its hash
	$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
.venv/bin/uv: requirements/uv.txt
	python3 -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/uv.txt
	touch $@
lock: .venv/bin/uv ## Resolve again; `make lock UPGRADE=--upgrade` moves every pin
	echo uv | $(LOCK) $(UPGRADE) --output-file requirements/uv.txt -
	$(LOCK) $(UPGRADE) --group dev --extra demo --output-file requirements/dev.txt pyproject.toml
format: ## Rewrite the code in the house style
	$(BIN)/ruff format
	$(BIN)/ruff check --fix-only
lint:
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/codespell agents checkpoints failsoft graphs nodes tests README.md
types:
	$(BIN)/mypy
layers:
	$(BIN)/lint-imports --no-logo
test: install ## Every test that needs no service
	$(BIN)/pytest
cover:
	$(BIN)/pytest --cov --cov-fail-under=90
build: install ## Wheel and sdist, with the locked setuptools
	$(BIN)/uv build --no-build-isolation --quiet
check: install lint types layers ## What CI checks without running a test
demo: install ## Sixty Slack messages become Jira tickets while everything breaks
	$(BIN)/failsoft demo
clean: ## Remove what the other verbs made
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
