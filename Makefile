# Everything sets itself up: Python 3.11 or newer, make and a package index are enough.
PYTHON ?= python3
BIN := .venv/bin
# Two more than there are cores: many tests wait most of the time.
WORKERS := $(shell $(PYTHON) -c "import os; print(min(6, (os.cpu_count() or 1) + 2))")

# Else dozens of processes would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-providers test test-all test-python lowest check format bench chaos conformance hosts test-clients docs manifests recording bundle wheel clean

demo: .venv/ready
	$(BIN)/python -m bench.demo

demo-providers: .venv/ready
	$(BIN)/python -m bench.demo_providers

# Everything an ordinary change can break, in five minutes. TESTS names other files or folders.
test: .venv/ready
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(TESTS)

# The slow tests of tests/slow.toml too; they are skipped without the programs they need.
test-all: .venv/ready
	$(BIN)/python -m pytest --all --numprocesses $(WORKERS) --dist worksteal

# All tests with the lowest versions that pyproject declares of what ltx-mcp needs.
lowest:
	rm -rf .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv-lowest/constraints.txt --editable '.[dev]'
	.venv-lowest/bin/python -m pytest --all --numprocesses $(WORKERS) --dist worksteal

# The folders that depend most on the Python that runs them, under another one, which need not bring pip.
OTHER ?= /usr/bin/python3
test-python: .venv/ready
	rm -rf .venv-python
	$(OTHER) -m venv --without-pip .venv-python
	$(BIN)/python -m pip --python .venv-python/bin/python install --quiet --disable-pip-version-check --editable '.[test]'
	.venv-python/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal tests/domain tests/cli
	rm -rf .venv-python

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy & here=$$!; \
	$(BIN)/mypy --platform darwin --no-warn-unreachable --cache-dir .mypy_cache/darwin ltx_mcp manifests && \
	$(BIN)/mypy --platform win32 --no-warn-unreachable --cache-dir .mypy_cache/win32 ltx_mcp manifests && \
	wait $$here
	test ! -x $(BIN)/actionlint || $(BIN)/actionlint

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/ready
	$(BIN)/python -m bench

# Ten minutes each: real servers, kill -9, faults at the emulated providers, a database that goes away. The third and
# the last two need haproxy and pgbouncer.
chaos: .venv/ready
	$(BIN)/python -m bench.chaos
	$(BIN)/python -m bench.chaos --database postgres --processes 4
	$(BIN)/python -m bench.chaos --service
	$(BIN)/python -m bench.outage
	$(BIN)/python -m bench.outage --mode freeze --rate 1
	$(BIN)/python -m bench.thousand
	$(BIN)/python -m bench.rolling
	$(BIN)/python -m bench.rolling --kill --pool

# The official suite and the MCP Inspector against our server; needs npm, installs pinned versions once.
conformance: .venv/ready
	$(BIN)/python -m tests.conformance

# Real hosts with our manifests; needs npm, installs pinned versions once.
hosts: .venv/ready
	$(BIN)/python -m tests.hosts

# Real clients and agent frameworks, each installed once into an environment of its own in .clients; needs npm.
test-clients: .venv/ready
	$(BIN)/python -m tests.clients

docs: .venv/ready
	$(BIN)/python docs/tables.py

manifests: .venv/ready
	$(BIN)/python -m manifests.make

# docs/terminal.svg, from a real run.
recording: .venv/ready
	$(BIN)/python docs/recording.py

# dist/ltx-mcp.mcpb, for Claude Desktop and other hosts of MCP bundles; needs npm.
bundle: .venv/ready
	rm -rf build/mcpb
	mkdir -p dist
	$(BIN)/python -m manifests.make --bundle build/mcpb
	npx --yes @anthropic-ai/mcpb@2.1.2 pack build/mcpb dist/ltx-mcp.mcpb

wheel: .venv/ready
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist

# Tests keep films in .films, and other people's clients in .clients.
clean:
	rm -rf .venv .venv-lowest .venv-python .films .clients dist build demo-output

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
