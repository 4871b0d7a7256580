# Chartloop: `make demo` shows it, `make test` proves it. Nothing but python3, python3-venv and make is needed.
.POSIX:
PYTHON = python3
VENV = .venv
PY = $(VENV)/bin/python
PIP = $(PY) -m pip install --quiet --disable-pip-version-check --no-input --constraint constraints.txt
PYTEST = $(PY) -m pytest
COVERAGE = $(PY) -m coverage
PACKAGES = chartloop fhir_server terminology predictions cds_hooks smart_apps claims omop_bridge ingest

.PHONY: demo test test-long check bench docs clean

demo: $(VENV)/.product
	$(PY) -m chartloop demo --data var/demo

test: $(VENV)/.test
	rm -rf build/conformance
	$(PYTEST) -n 2 --durations=10 -m "not long and not browser"

test-long: $(VENV)/.long
	$(PYTEST) -n 2 --dist loadfile --durations=25 -m "long or browser"

check: $(VENV)/.check
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) -m bandit --quiet --recursive --configfile pyproject.toml $(PACKAGES)
	$(PY) -m tests.advisories
	$(PYTEST) -q tests/house_rules
	$(PY) -m tests.conformance_report --check docs/conformance.md
	$(PY) -m chartloop.reference --check docs/reference
	# Counting lines makes tests take twice as long, so it is done once more, and not whenever somebody tests.
	$(COVERAGE) erase
	$(COVERAGE) run -m pytest -q -n 2 -m "not long and not browser"
	$(COVERAGE) combine --quiet --keep
	$(COVERAGE) report --fail-under=92

bench: $(VENV)/.test
	$(PY) -m bench

docs: $(VENV)/.product
	$(PY) -m chartloop.reference docs/reference

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.product: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[train]'
	touch $@

$(VENV)/.test: $(VENV)/.product
	$(PIP) --editable '.[test]'
	# An oracle with wheels up to Python 3.12; what it asks of cffi is older than what it runs with.
	$(PIP) --no-deps oso || echo 'oso has no wheel for this Python: its oracle is left out.'
	touch $@

$(VENV)/.long: $(VENV)/.test
	$(PIP) --editable '.[test,long,pyomop]'
	touch $@

$(VENV)/.check: $(VENV)/.test
	$(PIP) --editable '.[test,check]'
	touch $@

clean:
	rm -rf $(VENV) .tools build var
