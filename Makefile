# make demo and make test are all a newcomer needs; each sets up what it uses.
PYTHON ?= python3
VENV := .venv
# Where a machine reaches PyTorch's own index, choose its build:
#   make env TORCH_INDEX=https://download.pytorch.org/whl/cpu      (or .../cu130)
TORCH_INDEX ?=
TORCH_INDEX_OPTION := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
PIP := $(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST_ARGS ?=
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: env demo test test-slow check check-js clean

env: $(VENV)/all.stamp

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

# torch first and by its exact version: a range would fetch gigabytes of CUDA on a machine that has no use for them.
$(VENV)/core.stamp: $(VENV)/bin/pip pyproject.toml constraints.txt
	$(PIP) $(TORCH_INDEX_OPTION) $(TORCH)
	$(PIP) --editable .
	touch $@

$(VENV)/all.stamp: $(VENV)/core.stamp
	$(PIP) --editable '.[cluster,dicom,onnx,train,web,dev]'
	touch $@

demo: $(VENV)/core.stamp
	$(VENV)/bin/psmnet demo --out demo

test: $(VENV)/all.stamp
	$(VENV)/bin/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

test-slow: $(VENV)/all.stamp
	$(VENV)/bin/python -m pytest -m slow $(PYTEST_ARGS)

check: $(VENV)/all.stamp check-js
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# Types of the viewer's JavaScript, by the comments in it.
check-js:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory node_modules/.stamp && npx --no-install tsc; \
	else echo "check-js skipped: there is no Node.js (npm) on this machine"; fi

node_modules/.stamp: package.json package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund
	touch $@

clean:
	rm -rf $(VENV) node_modules demo build dist
