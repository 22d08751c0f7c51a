# The contributor's menu: `make` lists it. Every target does the set-up that it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3# the interpreter that the virtual environment is made with
ARGS ?=# more arguments for `make demo`, `make test`
SYSTEM_LIBS ?= install# `skip`: do not look for system libraries

VENV := .venv
RUN := $(VENV)/bin/python
MAPPED := assets benchmarks reference_motions train# folders installed inside sfv_gym
CODE := sfv_gym $(MAPPED) tests $(wildcard examples scripts docs)

# A virtual environment holds absolute paths: one that was moved or copied is made anew.
ifneq ($(shell cat $(VENV)/.created 2>/dev/null),$(CURDIR))
$(shell rm -f $(VENV)/.created)
endif

.PHONY: help
help: ## this list
	@echo "make TARGET [PYTHON=python3.12] [ARGS='...']"
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## video -> motion -> environment -> policy on two clips, and a report to look at
	$(VENV)/bin/sfv demo $(ARGS)

.PHONY: test
test: setup ## the tests, on all cores; some of them: make test ARGS='-k doctor'
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --dist worksteal $(ARGS)

.PHONY: wheel
wheel: setup ## build wheel and sdist, and use each in an empty virtual environment, as CI does
	scripts/check_wheel.sh $(RUN) $(PYTHON)

.PHONY: lint
lint: setup typing-tree ## ruff and mypy, as CI runs them
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	cd build/typing && $(CURDIR)/$(VENV)/bin/mypy --config-file $(CURDIR)/setup.cfg \
	  --cache-dir $(CURDIR)/.mypy_cache -p sfv_gym \
	  | sed -E 's#^sfv_gym/($(subst $() ,|,$(strip $(MAPPED))))/#\1/#'

.PHONY: docs
docs: setup $(VENV)/.docs typing-tree ## build the documentation site, build/site/index.html, as CI does
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

.PHONY: format
format: setup ## format the code and make ruff's safe fixes
	$(VENV)/bin/ruff check --fix $(CODE)
	$(VENV)/bin/ruff format $(CODE)

.PHONY: hooks
hooks: setup ## the checks of .pre-commit-config.yaml, before every commit of yours
	$(RUN) -m pip install --disable-pip-version-check --constraint constraints.txt pre-commit
	$(VENV)/bin/pre-commit install

.PHONY: setup
setup: system-libs $(VENV)/.installed ## the virtual environment .venv, with everything (quick when it is there)

.PHONY: system-libs
system-libs: ## check for the system libraries, and install them where that is possible
ifneq ($(SYSTEM_LIBS),skip)
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON) here: install Python 3.11 or newer, or name yours: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -I sfv_gym/render/system_libs.py
endif

.PHONY: constraints
constraints: ## write constraints.txt: the newest versions that fit setup.cfg, to be tested next
	scripts/update_constraints.sh $(PYTHON)

.PHONY: clean
clean: ## remove what set-up, build and tests made (not your results)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created: | system-libs
	$(PYTHON) -m venv --clear $(VENV)
	@echo '$(CURDIR)' > $@

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt $(VENV)/.created
	@echo "Installing Python packages into $(VENV): the first time this takes some minutes."
	$(RUN) -m pip install --disable-pip-version-check --prefer-binary \
	  --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(RUN) -m pip install --disable-pip-version-check --prefer-binary \
	  --constraint constraints.txt --editable '.[docs]'
	@touch $@

# mypy and the documentation site do not see that setup.cfg maps four folders into sfv_gym, so they
# get a tree of links that looks like the installed package.
.PHONY: typing-tree
typing-tree:
	@rm -rf build/typing && mkdir -p build/typing/sfv_gym
	@ln -s $(CURDIR)/sfv_gym/* $(addprefix $(CURDIR)/,$(MAPPED)) build/typing/sfv_gym/
	@rm -rf build/typing/sfv_gym/__pycache__
