# A machine with Python 3.11 or newer and make is enough: every target makes .venv from the locked, hashed
# requirements first, and again when they change.  `make PYTHON=python3.12 ...` chooses the interpreter.

PYTHON ?= python3
UV ?= uv
# More for pytest, such as `make test ARGS="-k ledger"`.
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test soak bench lint lock lock-beside clean page screenshots

demo: $(READY) page
	$(BIN)/riskengine demo $(ARGS)

# A worker that has no more tests takes over half of what another has left, so that the long ones hold nobody up.
test: $(READY) page
	$(BIN)/python -m pytest -q -n auto --dist worksteal $(ARGS)

# Half an hour of the real server on PostgreSQL (RISKENGINE_TEST_POSTGRES) with 500 clients: `make soak ARGS="--minutes 10"`.
soak: $(READY)
	$(BIN)/python -m tests.soak $(ARGS)

bench: $(READY)
	$(BIN)/python -m pytest bench $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python hatch_build.py lint

# The page of riskengine/web/: returns at once where it is built. Without it the engine still serves everything else.
page: $(READY)
	-@$(BIN)/python hatch_build.py build

# Pictures of every view of a demo, light and dark, from narrow to wide.
SCREENSHOTS ?= build/screenshots
screenshots: $(READY) page
	$(BIN)/python -m tests.web.screenshots $(SCREENSHOTS)

# pyproject.toml counts too: it names the command and the package's dependencies.
$(READY): requirements.txt requirements-dev.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null 2>&1 || \
	  { echo "riskengine needs Python 3.11 or newer, and there is no '$(PYTHON)' here: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "riskengine needs Python 3.11 or newer, and '$(PYTHON)' is not: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "'$(PYTHON)' cannot make virtual environments: install its venv package (Debian, Ubuntu: python3-venv)" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

# Newer versions of everything, within pyproject.toml. One version of each for all Pythons, so that what is tested is
# what runs; no index address in the files, so that they install from any mirror.
COMPILE = $(UV) pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-header pyproject.toml

lock: $(READY)
	@command -v "$(UV)" >/dev/null 2>&1 || { echo "make lock needs uv, and there is no '$(UV)' here" >&2; exit 1; }
	$(COMPILE) -o requirements.txt
	$(COMPILE) --extra dev -c requirements.txt -o requirements-dev.txt
	$(BIN)/python hatch_build.py lock

# What `python -m bench.beside` compares the engine with, beside the engine's own versions of what both need.
lock-beside:
	@command -v "$(UV)" >/dev/null 2>&1 || { echo "make lock-beside needs uv, and there is no '$(UV)' here" >&2; exit 1; }
	$(COMPILE) bench/requirements-beside.in -c requirements.txt -o bench/requirements-beside.txt

clean:
	rm -rf $(VENV) build dist riskengine/web/dist riskengine/web/node_modules *.egg-info .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
