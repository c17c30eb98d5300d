.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml taps/*/pyproject.toml loaders/*/pyproject.toml)) sandbox reconcile orchestrate
UV := $(or $(shell command -v uv 2>/dev/null),$(wildcard $(BIN)/uv),$(VENV)-uv/bin/uv)
export PATH := $(CURDIR)/$(BIN):$(PATH)
export Q
export UV_SYSTEM_CERTS ?= true
export MELTANO_SEND_ANONYMOUS_USAGE_STATS := false
# Where Python may keep no bytecode, each start of a tap would compile all it imports.
export UV_COMPILE_BYTECODE := $(if $(PYTHONDONTWRITEBYTECODE),true,false)

.PHONY: help install run sql backfill change test lint bench bench-kills bench-sources bench-reconcile kill-matrix lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

install: $(VENV)/.installed $(wildcard .env) ## Install everything from the lock file.

.env: sandbox/local.env
	@cmp -s $< $@ || { mkdir -p .sandbox; cp $@ .sandbox/old.env; cp $< $@; echo "$@ was written anew from $<; what it held before is in .sandbox/old.env."; }
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml $(MEMBERS:%=%/pyproject.toml)
	@command -v $(UV) >/dev/null || { python3 -m venv $(VENV)-uv && $(VENV)-uv/bin/pip install --quiet "$$(grep -o '^uv==[0-9.]*' requirements.lock)"; }
	$(UV) venv --quiet --allow-existing --python python3 $(VENV)
	VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation $(MEMBERS:%=--editable %)
	$(if $(PYTHONDONTWRITEBYTECODE),$(BIN)/python -m compileall -q $(MEMBERS))
	@[ -e .env ] || cp sandbox/local.env .env
	@touch $@

run: install ## Start the sandbox, run every job (or SOURCE=postgres) and show what was loaded.
	@sandbox run $(SOURCE)

sql: install ## Ask the local warehouse: a prompt, or Q="select ...".
	@sandbox sql $${Q:+"$$Q"}

backfill: install ## Read SOURCE= again: FROM= and TO= (dates), or the whole of it; postgres needs a TABLE=.
	@BACKFILL_TABLE=$(TABLE) BACKFILL_FROM=$(FROM) BACKFILL_TO=$(TO) \
	  BACKFILL_LOAD_TYPE=$(if $(FROM)$(TO),incremental,full-sync) \
	  MELTANO_RUN_STATE_ID_SUFFIX=$(subst $() ,_,$(strip $(TABLE) $(FROM) $(TO))) \
	  meltano run tap-$(SOURCE)--backfill target-snowflake

change: install ## Change some rows in the sandbox's sources, to see an incremental run.
	@sandbox change

test: install $(VENV)-interop/.installed ## Run every test.
	python -m pytest -n 3 --dist worksteal $(ARGS)

$(VENV)-interop/.installed: tests/interop/requirements.lock | install
	$(UV) venv --quiet --allow-existing --python python3 $(@D)
	VIRTUAL_ENV=$(@D) $(UV) pip sync --quiet --require-hashes $<
	@touch $@

lint: install ## Check style, types and the lock file.
	ruff format --check .
	ruff check .
	mypy $(addprefix -p ,orchestrate reliability reconcile sandbox snowflake_loader tapsupport $(subst -,_,$(notdir $(wildcard taps/*))))

bench: install $(VENV)-bench-dlt/.installed $(VENV)-bench-meltanolabs/.installed ## Measure against peers; see bench/README.md.
	python bench/run.py

bench-kills: install ## Kill a full sync again and again and compare; BENCH_ROWS=10000000.
	python bench/kills.py

bench-reconcile: install ## Find 50 differences in a large table, and repair them; BENCH_ROWS=10000000.
	python bench/reconcile.py

kill-matrix: install ## Kill pipelines at every boundary and compare; KILLS=500. See docs/reliability.md.
	python -m reliability --kills $(or $(KILLS),500)

bench-sources: install $(VENV)-bench-zendesk/.installed ## Measure the taps of reports and APIs against their stand-ins' own time.
	python bench/adaptive_answers.py
	python bench/oci_reports.py 200 100000
	python bench/zuora_views.py
	python bench/thought_industries_days.py
	python bench/slow_answers.py
	python bench/zendesk_limit.py 12000 5
	python bench/zendesk_peer.py 300 10

$(VENV)-bench-%/.installed: bench/peers/requirements-%.lock | install
	$(UV) venv --quiet --allow-existing --python python3 $(@D)
	VIRTUAL_ENV=$(@D) $(UV) pip sync --quiet --require-hashes $<
	@touch $@

lock: ## Write the lock files anew.
	./lock.sh

clean: ## Remove everything that was made.
	@[ ! -x $(BIN)/sandbox ] || sandbox down
	rm -rf .env .sandbox .meltano output $(VENV) $(VENV)-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
