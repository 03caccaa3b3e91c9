# The commands of this project. `make` lists them; each sets up what it needs, and only once.

PYTHON ?=
DATA ?=
FAULTS ?=
# In CI two workers share the tests, a file each at a time, the slow ones first; each starts servers of its own.
PYTEST_ARGS ?= $(if $(CI),-n 2 --dist loadfile --no-loadscope-reorder)

BIN := .venv/bin
PACKAGES := countersign connectors workers sandbox
LOCKS := requirements.lock requirements-build.lock
LOCK := .tooling/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help demo test nightly check lint contract chaos bench lock upgrade clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: .venv/.runtime  ## Run the main job on embedded defaults (DATA=folder for real input, FAULTS=... for a bad day)
	@$(BIN)/python -m sandbox.demo $(if $(DATA),--data "$(DATA)") $(if $(FAULTS),--faults "$(FAULTS)")

test: .venv/.dev  ## Run all tests, on real Redis, SQLite and PostgreSQL (PYTEST_ARGS=... to choose)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

nightly: .venv/.dev  ## Run all tests in their long forms: every crash point, a million answers, 2,000 worlds
	@COUNTERSIGN_NIGHTLY=1 $(BIN)/python -m pytest --timeout 3600 $(PYTEST_ARGS)

check: lint test  ## Run everything CI checks

lint: .venv/.dev  ## Run ruff, mypy, the import rules, the searches for dead code and dead dependencies, the deploy checks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "mend it with: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/vulture
	@$(BIN)/deptry .
	@$(BIN)/hadolint deploy/Dockerfile
	@$(BIN)/yamllint --strict --config-file deploy/.yamllint deploy
	@$(BIN)/countersign docs --check

contract: .venv/.dev  ## Run only the tests of the connectors and the sandbox against the vendors' contracts
	@$(BIN)/python -m pytest tests/contract $(PYTEST_ARGS)

chaos: .venv/.dev  ## Run the main job while workers and Redis are killed
	@$(BIN)/python -m benchmarks.chaos

bench: .venv/.dev  ## Measure, as ratios to the bare Celery rate of this machine
	@$(BIN)/python -m benchmarks

lock:  ## Regenerate the requirements locks, keeping every version that still fits (`make upgrade` moves them)
	@.ci/setup uv
	@echo uv | $(LOCK) - -o .ci/uv.txt
	@$(LOCK) --extra postgres pyproject.toml -o requirements.lock
	@$(LOCK) --group build -c requirements.lock -o requirements-build.lock
	@$(LOCK) --extra postgres --group build --group dev -c requirements.lock -c requirements-build.lock \
		pyproject.toml -o requirements-dev.lock
	@for lock in requirements.lock requirements-build.lock requirements-dev.lock; do \
		{ echo "# Made by \`make lock\` from pyproject.toml. To install: pip install --require-hashes -r $$lock"; cat $$lock; } \
			> $$lock.new && mv $$lock.new $$lock; done

upgrade:  ## Regenerate the locks with the newest versions that pyproject.toml allows
	@rm -f requirements.lock requirements-build.lock requirements-dev.lock
	@$(MAKE) --no-print-directory lock

clean:  ## Remove everything that can be made again
	@rm -rf .venv .tooling build dist var/demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(PACKAGES) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

.venv/.runtime: $(LOCKS) pyproject.toml
	@PYTHON="$(PYTHON)" .ci/setup runtime

.venv/.dev: requirements-dev.lock pyproject.toml
	@PYTHON="$(PYTHON)" .ci/setup dev
