# `make` alone lists what there is.
PYTHON ?= python3
READY := .venv/ready
# One more than there are cores: what waits leaves its core to another.
WORKERS = $$(python -c 'import os; print(min(4, os.cpu_count() + 1))')
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help env repro test fuzz bench lint ui lock

help:
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(READY) ## set up the environment alone, in .venv

repro: $(READY) ## set up the environment if need be, then run what is out of date: from images to F1 table
	@leanet repro

test: $(READY) ## set up the environment if need be, then run all tests
	@LEANET_TEST_PROJECTS=$$(mktemp -d) && export LEANET_TEST_PROJECTS && trap 'rm -rf "$$LEANET_TEST_PROJECTS"' EXIT && \
	python -m pytest -m "not alone" -n $(WORKERS) --dist worksteal && \
	python -m pytest -m alone -n 2 --dist loadfile --no-loadscope-reorder

fuzz: $(READY) ## change what is read from outside for five minutes, and keep in tests/fuzz/found what breaks a reader
	@PYTHONPATH=tests python -m fuzz

bench: $(READY) ## measure speed and memory beside alternatives, half an hour; figures also in bench.json
	python -m benchmarks --json bench.json

lint: $(READY) ## check style, and format
	ruff check --fix .
	ruff format .

ui: $(READY) ## open MLflow on http://127.0.0.1:5000 to look at the runs
	@case "$$MLFLOW_TRACKING_URI" in http*) echo "the runs are on $$MLFLOW_TRACKING_URI; open it in a browser" ;; \
	*) mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" ;; esac

lock: $(READY) ## make requirements.txt anew from the ranges in pyproject.toml
	pip install -q uv
	uv pip compile --universal --python-version 3.11 --extra dev --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --upgrade -q pyproject.toml -o requirements.txt

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}; try make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
