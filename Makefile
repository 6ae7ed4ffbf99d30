PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python -m
INSTALLED := .venv/.installed
LOCKED := --universal --python-version 3.11 --generate-hashes --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint typecheck faults bench quality campaigns race soak kafka dashboards pictures screenshots k8s lock dist sbom clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) ## Create .venv with the locked dependencies

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Set PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing dependencies (about a minute the first time)"
	@$(RUN) pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(RUN) pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(INSTALLED)

demo: setup ## Run everything on this machine for a minute: broker, both workers, traffic, limiter, console
	@$(RUN) stream_app demo

test: setup lint typecheck ## Check style and types, and run all tests but the fault battery
	@$(RUN) pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not faults"

lint: setup ## Check style
	@$(RUN) ruff check
	@$(RUN) ruff format --check

typecheck: setup ## Check types
	@$(RUN) mypy

faults: setup ## Kill, freeze, cut off and starve workers and brokers (minutes; long form: STILLWATCH_FAULTS=long)
	@$(RUN) pytest -n 2 --dist loadfile tests/faults

bench: setup ## Run the benchmarks (an hour)
	@$(RUN) benchmarks.limiter
	@$(RUN) benchmarks.limiter_http
	@$(RUN) benchmarks.enforcement
	@$(RUN) benchmarks.throughput
	@$(RUN) benchmarks.checkpoints
	@$(RUN) benchmarks.watching --page 3
	@$(RUN) benchmarks.operation --out out/operation
	@$(RUN) benchmarks.prompt_scores evaluate
	@$(RUN) benchmarks.prompt_series
	@$(RUN) benchmarks.nab
	@$(RUN) benchmarks.calibration

quality: setup ## Measure what is found, how soon, and what is found in vain, beside rivals (a quarter of an hour)
	@$(RUN) benchmarks.quality --out benchmarks/results

campaigns: setup ## Measure what is found of campaigns, beside rivals, and what evading costs (hours; taken up where broken off)
	@$(RUN) benchmarks.campaigns --out benchmarks/results
	@$(RUN) benchmarks.redteam --out benchmarks/results

race: setup ## Race against Flink, Kafka Streams, Bytewax, Quix and plain Faust (an hour)
	@$(RUN) benchmarks.race --out out/race

soak: setup ## Mixed load for half an hour: memory, files, lag, exactness
	@$(RUN) benchmarks.soak --minutes 30

kafka: setup ## Run a real Kafka broker in the foreground (needs Java 17 and Maven)
	@$(BIN)/python tests/brokers.py

dashboards: setup ## Write the dashboards of deploy/grafana
	@$(BIN)/python deploy/grafana/dashboards.py

pictures: setup ## Draw the dashboards anew, from a run of five minutes on a real Kafka and a real Prometheus (needs Chromium)
	@$(RUN) tests.operations.watched_run

screenshots: setup ## Take the screenshots of the console anew (two minutes; needs Chromium)
	@$(RUN) tests.browser.screenshots

k8s: setup ## Write the generated manifests anew: topics, users, alert rules
	@$(RUN) k8s.generate

lock: ## Resolve the dependencies anew into requirements.lock, and those of the image into deploy/
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/pip install --quiet uv
	@.venv-lock/bin/uv pip compile pyproject.toml --group dev $(LOCKED) -o requirements.lock
	@.venv-lock/bin/uv pip compile pyproject.toml --constraint requirements.lock $(LOCKED) -o deploy/image.lock
	@.venv-lock/bin/uv pip compile --group build --constraint requirements.lock $(LOCKED) -o deploy/image-build.lock
	@rm -rf .venv-lock

dist: setup ## Build the wheel and the source distribution into dist/
	@$(RUN) hatchling build --clean

sbom: setup ## List what an installation brings along, with versions and hashes, as CycloneDX in dist/
	@$(PYTHON) -m venv .venv-sbom
	@.venv-sbom/bin/pip install --quiet cyclonedx-bom
	@mkdir -p dist
	@.venv-sbom/bin/python -W ignore -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible -o dist/stillwatch.cdx.json deploy/image.lock
	@rm -rf .venv-sbom

clean: ## Remove what make and the tools have made
	@rm -rf .venv .venv-lock .venv-sbom .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
