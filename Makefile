# Everything starts from a fresh clone: Python 3.11 or newer, make and a package index are enough.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
PRACTICE_PORT ?= 8001
PRACTICE_URL ?= http://127.0.0.1:$(PRACTICE_PORT)
export HOST PORT PRACTICE_PORT PRACTICE_URL

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
NODE_MODULES := tests/conformance/node_modules

.PHONY: run test lint conformance corpus screenshots lock

run: .venv/runtime
	@$(BIN)/flask --app webapp setup-code --if-needed
	@echo "Gatehouse: http://$(HOST):$(PORT)   practice server: $(PRACTICE_URL)   stop with Ctrl-C"
	@$(BIN)/python -m webapp.practice & practice=$$!; \
	$(BIN)/gunicorn --config python:webapp.serving webapp.asgi:program\(\) & web=$$!; \
	trap 'kill $$practice $$web 2>/dev/null; wait' EXIT; \
	trap 'exit 0' INT TERM; \
	while kill -0 $$practice 2>/dev/null && kill -0 $$web 2>/dev/null; do sleep 1; done; exit 1

test: .venv/dev .venv/chromium
	$(BIN)/python -m pytest --ignore=tests/conformance

conformance: .venv/dev $(NODE_MODULES)/.installed
	$(BIN)/python -m pytest tests/conformance

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

corpus: .venv/dev
	$(BIN)/python -m tests.corpus

screenshots: .venv/dev .venv/chromium
	$(BIN)/python -m tests.browser.screenshots

lock: .venv/dev
	$(PIP:--require-hashes=) uv
	for extra in "" "-dev"; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.11 $${extra:+--extra dev} pyproject.toml --output-file requirements$$extra.lock; \
	done

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Stamps: installing again happens only when a lock file has changed.
.venv/runtime: requirements.lock | .venv/bin/python
	$(PIP) -r requirements.lock
	@touch $@

.venv/dev: requirements-dev.lock | .venv/bin/python
	$(PIP) -r requirements-dev.lock
	@touch $@ .venv/runtime

.venv/chromium: .venv/dev
	$(BIN)/python -m tests.browser.chromium
	@touch $@

$(NODE_MODULES)/.installed: tests/conformance/package-lock.json
	cd tests/conformance && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@
