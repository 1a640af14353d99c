# Every command works from a bare checkout: the first one that needs it sets up .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help setup demo test lint types check firmware firmware-size esphome home-assistant bench fuzz mutants soak lock clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

$(STAMP): pyproject.toml requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "Python's venv is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: $(STAMP) ## set up .venv with everything the project needs

demo: $(STAMP) ## a whole session against the simulated device, in under a minute
	@$(BIN)/python demo.py

test: $(STAMP) ## all tests, two files at a time; JOBS=1 for one
	@$(BIN)/python -m pytest -n $(or $(JOBS),2) --dist loadfile

lint: $(STAMP) ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	@$(BIN)/mypy

check: lint types test ## lint, types and tests

firmware: ## a real device's program, for an ATmega328P: DEVICE_ID=bed-0002
	@$(MAKE) --no-print-directory -C firmware hex

firmware-size: ## how much of that chip it takes
	@$(MAKE) --no-print-directory -C firmware size

esphome: ## ESPHome for a device on an ESP32, in an environment of its own
	@$(MAKE) --no-print-directory -C firmware esphome PYTHON=$(PYTHON)
	@echo firmware/build/esphome-venv/bin/esphome

HA_PYTHON ?= $(PYTHON)
HA_VENV := build/home-assistant-venv
home-assistant: $(STAMP) ## the bridge and the blueprints in a real Home Assistant, by its Python: HA_PYTHON=python3.14
	@test -x $(HA_VENV)/bin/python || $(HA_PYTHON) -m venv $(HA_VENV)
	@$(HA_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(HA_PIP) 'homeassistant$(HA_VERSION)'
	@$(HA_VENV)/bin/python -m tests.campaigns.home_assistant_needs | xargs \
	  $(HA_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(HA_PIP)
	@$(HA_VENV)/bin/python -m tests.campaigns.real_home_assistant

bench: $(STAMP) ## measure, beside the peers, and write benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks.run

fuzz: $(STAMP) ## codec fuzzing, FRAMES=50000000 by default; then the C core, FUZZ_SECONDS=600
	@$(BIN)/python -m tests.campaigns.fuzz_codec --frames $(or $(FRAMES),50000000)
	@$(MAKE) --no-print-directory -C firmware fuzz FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600)

mutants: $(STAMP) ## break each limit of the C core, one at a time: a test must fail each time
	@$(BIN)/python -m tests.campaigns.firmware_mutants

soak: $(STAMP) ## the long forms: random sessions, random scripts, the safety machine, kills, restarts
	@$(BIN)/python -m tests.campaigns.random_sessions --seeds $(or $(SEEDS),20000)
	@$(BIN)/python -m tests.campaigns.differential --scripts $(or $(SCRIPTS),2000)
	@SOAK=100 KILLS=500 RESTARTS=200 $(BIN)/python -m pytest --timeout 0 tests/property \
	  tests/e2e/test_killed_controller.py tests/e2e/test_killed_history.py tests/e2e/test_killed_daemon.py \
	  tests/e2e/test_broker_restarts.py tests/e2e/test_four_clients.py \
	  tests/e2e/test_home_assistant_replays.py

lock: ## write requirements-dev.txt anew from pyproject.toml
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@{ echo '# Exact versions for the tests. Written by `make lock`; the ranges are in pyproject.toml.'; \
	  $(BIN)/python -m pip freeze --exclude-editable --exclude pip; } > requirements-dev.txt
	@touch $(STAMP)

clean: ## remove what the other commands made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov dist build
	@$(MAKE) --no-print-directory -C firmware clean
