# make run    environment, real prices, training, result table; PRICES=prices.csv takes your own
# make test   the fast suite
# make docs   this documentation as a site, build/docs/index.html
# make bench  speed, beside the published package where it can be had
# Everything lives in .venv; PYTHON picks the interpreter (3.11 or later).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUNS ?= runs/hisso
# What Python compiles is kept: a thousand processes of the tests would compile it again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test test-slow docs bench bench-updates lint types wheel clean

help:
	@sed -n '1,5s/^# //p' Makefile

$(VENV)/installed: pyproject.toml constraints.txt requirements-data.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "psann needs Python 3.11 or later; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into $(VENV) (torch is the large one; once only) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint constraints.txt --editable '.[dev,docs]'
	@$(PIP) install --no-deps --requirement requirements-data.txt
	@touch $@

install: $(VENV)/installed

# With PRICES=prices.csv: look at the table, write a configuration for it, and train on it.
ifdef PRICES
run: install
	$(BIN)/hisso-runs prices $(PRICES) --output-dir $(RUNS)/prices
	$(BIN)/hisso-log-run --config $(RUNS)/prices/$(firstword $(subst ., ,$(notdir $(PRICES)))).yaml \
	  --output-dir $(RUNS) --run-name prices --device cpu --overwrite
else
run: install
	@for name in nyse_o sp500_20; do \
	  echo; echo "== $$name"; \
	  $(BIN)/python -m psann.scripts.hisso_log_run --config configs/hisso/$$name.yaml \
	    --output-dir $(RUNS) --run-name $$name --device cpu --overwrite || exit $$?; \
	done
endif

# Two workers of one thread each: on two cores that is the fastest, and nobody spins. What the
# tests of a file share is made by one of them.
test: install
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-slow: install
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "slow and not gpu and not chaos"

# A warning is an error; the notebook is run.
docs: install
	$(BIN)/python -m sphinx -b html -W -q docs build/docs

# Tens of minutes; best on a machine that does nothing else.
bench: install
	$(BIN)/python benchmarks/cpu.py
	$(BIN)/python benchmarks/floors.py
	$(BIN)/python benchmarks/by_hand.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/threads.py
	$(BIN)/python benchmarks/startup.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/waiting.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/membership.py
	-$(BIN)/python benchmarks/reporting.py --beside 5ed899e
	-$(BIN)/python benchmarks/job.py --beside c7c8428^
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/overhead.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/defaults.py
	$(BIN)/python benchmarks/plots.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/sine_pictures.py

# Updates beside the published package and beside their own arithmetic, and the tables of both.
bench-updates: install
	$(BIN)/python benchmarks/cpu.py --only updates
	$(BIN)/python benchmarks/floors.py
	$(BIN)/python benchmarks/by_hand.py
	$(BIN)/python benchmarks/plots.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

wheel: install
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf $(VENV) build dist
