# Everything sets itself up: Python 3.11 or newer, make and a package index are enough.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo demo-providers test check format bench chaos conformance docs wheel clean

demo: .venv/ready
	$(BIN)/python -m bench.demo

demo-providers: .venv/ready
	$(BIN)/python -m bench.demo_providers

test: .venv/ready
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/ready
	$(BIN)/python -m bench

# Ten minutes each: real servers, kill -9, faults at the emulated providers, a database that goes away.
chaos: .venv/ready
	$(BIN)/python -m bench.chaos
	$(BIN)/python -m bench.chaos --database postgres --processes 4
	$(BIN)/python -m bench.outage
	$(BIN)/python -m bench.outage --mode freeze --rate 1
	$(BIN)/python -m bench.thousand

# The official suite and the MCP Inspector against our server; needs npm, installs pinned versions once.
conformance: .venv/ready
	$(BIN)/python -m tests.conformance

docs: .venv/ready
	$(BIN)/python docs/tables.py

wheel: .venv/ready
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist

clean:
	rm -rf .venv dist build demo-output

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
