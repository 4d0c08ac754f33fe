# Two commands set everything up on a machine with Python >= 3.11: `make demo` and `make test`.
# README.md says what each does in plain commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test slow lint audit lock clean

demo: $(VENV)/.run
	$(BIN)/wellai-exp sweep experiment=demo

test: $(VENV)/.dev lint
	$(BIN)/pytest -n 2 --dist loadgroup

slow: $(VENV)/.dev
	$(BIN)/pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Known vulnerabilities of what the locks hold; what cannot be looked up is no pass.
audit: $(VENV)/.dev
	$(BIN)/python tests/audit.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock requirements-tfjs.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-tfjs.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements-dev.lock requirements-tfjs.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-tfjs.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@ $(VENV)/.run

# Needs uv. The locks hold hashes and no addresses; pip and uv ask whatever index they are set to.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --extra build -o requirements.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --extra build --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	# It asks for an older TensorFlow, of which its converter needs nothing.
	echo tensorflowjs==4.22.0 | uv pip compile --no-deps --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate -o requirements-tfjs.lock -

clean:
	rm -rf $(VENV) build dist *.egg-info
