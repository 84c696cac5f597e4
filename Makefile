# gatewayz: `make` lists the targets. Needs python3 (3.11 or newer) and make, nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

FAST   := tests/unit tests/property tests/architecture
SLOW   := tests/simulation tests/chaos tests/integration tests/contract tests/browser

.DEFAULT_GOAL := help
.PHONY: help setup serve check test audit servers browser clients simulate chaos bench peers peers-litellm lock docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit("gatewayz needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 cannot make a virtual environment: install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@touch $@

$(VENV)/runtime: $(VENV)/made requirements.lock pyproject.toml
	@echo "installing gatewayz into $(VENV) ..."
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.lock
	@echo "installing what the tests need ..."
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

setup: $(VENV)/runtime ## install into .venv; gives .venv/bin/gatewayz

serve: setup ## start the gateway on 127.0.0.1:8000 with its own PostgreSQL and Redis
	@exec $(BIN)/gatewayz serve

check: $(VENV)/dev ## the fast part of the tests: linters, types, layers, unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q --numprocesses 2 --dist loadfile $(FAST)

.servers/made: tests/support/fetch_servers
	@echo "fetching the Redis, Valkey and Prometheus of Debian into .servers ..."
	@tests/support/fetch_servers .servers

servers: .servers/made ## fetch other versions of Redis, and Prometheus, into .servers, for the tests; needs Debian

browser: ## install Debian's Chromium and its driver, for the tests of the dashboard, where they are missing
	@tests/support/install_browser

.venv-clients/made: requirements-clients.lock
	@echo "installing other clients into .venv-clients ..."
	@test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements-clients.lock
	@touch $@

clients: .venv-clients/made ## install LangChain and LiteLLM's client into .venv-clients, for the tests

# In CI nothing may be missing; elsewhere what is not found is skipped. Most tests wait for servers most of the time: three
# share two cores, the longest files first. Where milliseconds decide, a test has the machine to itself.
test: ## everything: the fast part, then real servers and SDKs
	@$(MAKE) --no-print-directory --jobs 2 check $(if $(CI),.servers/made browser clients)
	$(BIN)/pytest -q --numprocesses 3 --dist loadfile --no-loadscope-reorder -m "not alone" $(SLOW)
	$(BIN)/pytest -q -m alone $(SLOW)

simulate: $(VENV)/dev ## the cache in a simulated world: a million steps over ten thousand seeds, eight minutes on two cores
	$(BIN)/python -m tests.simulation --seeds 10000 --steps 100 --jobs 2

chaos: $(VENV)/dev ## four workers, five minutes, every fault: nothing stale, nothing hung (SEED=n to repeat a run)
	$(BIN)/python -m tests.chaos --minutes 5 $(if $(SEED),--seed $(SEED))

bench: $(VENV)/dev ## measure beside a bare ASGI app; writes benchmarks/results/latest.json
	$(BIN)/python -m benchmarks

peers: ## measure the cache beside other libraries, in .venv-peers; writes benchmarks/results/peers.json
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip --quiet install --require-hashes --requirement requirements-dev.lock
	@.venv-peers/bin/python -m pip --quiet install --requirement benchmarks/peers/requirements.txt
	@.venv-peers/bin/python -m pip --quiet install --no-deps --no-build-isolation --editable .
	.venv-peers/bin/python -m benchmarks.peers

peers-litellm: ## install the LiteLLM proxy into .venv-litellm, for python -m benchmarks --only litellm
	@test -x .venv-litellm/bin/python || $(PYTHON) -m venv .venv-litellm
	@.venv-litellm/bin/python -m pip --quiet install --requirement benchmarks/load/requirements-litellm.txt

docs: $(VENV)/dev ## write the reference pages and dashboards anew from the declarations
	$(BIN)/python -m gatewayz.cli.reference docs/reference
	$(BIN)/python -m deploy.grafana.dashboards

# Apart from .venv: what judges the dependencies must not be one of them.
audit: ## ask the public databases for known faults of what is pinned, and the index for what was withdrawn (needs a network)
	@test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip --quiet install "pip-audit>=2.7"; }
	.venv-audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock
	! .venv-audit/bin/python -m pip download --quiet --no-deps --require-hashes --requirement requirements.lock --dest .venv-audit/files 2>&1 | grep -i yanked

lock: ## pin every dependency anew with its hashes (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --extra embedded --group build --output-file requirements.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --extra embedded --extra otel --group dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --extra otel --constraint requirements-dev.lock --output-file deploy/requirements.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --group pyproject.toml:clients --output-file requirements-clients.lock

clean: ## remove the virtual environment and caches; keeps .gatewayz, where the data lives
	rm -rf $(VENV) .venv-clients .venv-peers .venv-litellm .venv-audit .pytest_cache .mypy_cache .ruff_cache .hypothesis
