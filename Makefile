# Throughline. `make` alone lists what can be made.
#
# Every target makes the environment it needs, so any of them can be the first command after a clone.

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
READY := .venv/.ready
NATIVE := $(wildcard schemas/native/*.[ch])
PACKAGES = $(patsubst %/__init__.py,%,$(wildcard */__init__.py))

# Tests of what stands beside the steps, and imports none of them: compiled or not, they run the same.
BESIDE_STEPS := $(foreach part,stack compose connect salesforce feeds http oauth analytics,--ignore-glob='tests/unit/test_$(part)*')

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup compiled demo stack-demo test test-compiled test-stack stack-tools crash outages storm lint style types layers tidy format bench lock
.PHONY: bench-quick bench-lock hooks clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make .venv with the locked dependencies and the throughline command; compile the steps if there is a C compiler
	@$(BIN)/python -m streams.compiling || echo "The steps did not compile, and run as pure Python, at half the speed." >&2
	@echo "Ready: $(BIN)/throughline"

compiled: $(READY) ## compile the steps; fails where `make setup` goes on with pure Python
	$(BIN)/python -m streams.compiling

demo: $(READY) ## a generated firm through the real worker on an embedded broker, and the answers
	$(BIN)/throughline demo

stack-demo: stack-tools ## the same firm on the whole real stack: PostgreSQL, Debezium, feeds, Kafka, the registry, Connect
	$(BIN)/throughline demo --stack

test: $(READY) ## every test but the stack tier
	$(BIN)/python -m pytest -m "not stack" -n $(WORKERS) --dist loadgroup

test-compiled: compiled ## what the steps do, on compiled modules
	PURE_PYTHON=0 $(BIN)/python -m pytest -m "unit or scenarios or properties" -n $(WORKERS) $(BESIDE_STEPS)

test-stack: stack-tools ## the stack tier: real servers on this machine
	$(BIN)/python -m pytest --stack --timeout 900 tests/stack

crash: stack-tools ## two workers killed at every point of their work; KILLS, RECORDS and SEED may be given
	$(BIN)/python -m tests.crash

outages: stack-tools ## a firm at work for a week while parts of the whole stack fail by chance; SEED may be given
	$(BIN)/python -m live.outages $(if $(SEED),--seed $(SEED))

storm: stack-tools ## postings into a simulated ERP that fails in every way, under kills; POSTINGS, SEED, WORKERS, STALL (s) and TARGET (plain, oracle) may be given
	$(BIN)/python -m tests.storm $(if $(POSTINGS),--postings $(POSTINGS)) $(if $(SEED),--seed $(SEED)) $(if $(TARGET),--target $(TARGET)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(STALL),--stall-every-s $(STALL))

stack-tools: $(READY) ## what the stack and its tests need, as Java and PostgreSQL: installed by apt as root, else told
	$(BIN)/python -m stack.install

lint: style types layers tidy ## style, types, layers and the rules of the house

style: $(READY) ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy $(PACKAGES)

layers: $(READY) ## imports point one way
	$(BIN)/lint-imports

tidy: $(READY) ## sizes, floats, names, documents
	$(BIN)/python -m pytest -q tests/tidy

format: $(READY) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## measure beside stock Faust, Quix Streams and a bare loop, on a real Kafka: an hour
	$(BIN)/python -m bench

bench-quick: $(READY) ## the same in some minutes, a round of a twentieth: whether it runs, not what it costs
	$(BIN)/python -m bench --quick

bench-lock: $(READY) ## resolve the environments of the peers again
	for peer in faust quix; do (cd bench/peers && $(abspath $(BIN)/uv) pip compile $$peer.in --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --custom-compile-command "make bench-lock" --quiet -o $$peer.lock); done

lock: $(READY) ## resolve pyproject.toml again into requirements.lock, and what an image needs of it; `make lock UPGRADE=--upgrade` takes newer versions
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" --quiet $(UPGRADE) -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --constraint requirements.lock --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet -o deploy/requirements.lock

hooks: $(READY) ## run the checks before every commit
	$(BIN)/pre-commit install

clean: ## remove what tests, checks and the demo made; .venv stays
	rm -rf demo-out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name .venv -prune -o -type d -name __pycache__ -exec rm -rf {} +

# The stamp is written last, so that a set-up which was interrupted starts again.
$(READY): requirements.lock pyproject.toml $(NATIVE)
	@command -v $(PYTHON) >/dev/null || { \
		echo "Throughline needs Python 3.11 or newer, and there is no $(PYTHON) here. Install it," \
			"or name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Throughline needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
			"Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make environments: its venv module is missing." \
			"On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'import schemas._plan' 2>/dev/null || \
		echo "Without the compiled codec, which needs a C compiler and Python's headers: the pure one is slower, no more"
	@touch $@
