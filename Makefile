# make quickstart   set up .venv, run the study `quickstart`, print its results
# make test         set up .venv, run all tests
# `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# uv installs the same, faster. It does not read the settings of pip.
UV := $(shell command -v uv 2>/dev/null)
ifdef UV
new_venv = $(UV) venv --quiet --seed --allow-existing --python $(PYTHON) $(VENV)
install = VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet \
	$(PIP_EXTRA_INDEX_URL:%=--extra-index-url % --index-strategy unsafe-best-match)
else
new_venv = $(PYTHON) -m venv $(VENV)
install = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
endif

.PHONY: help setup quickstart report test test-quick test-slow lint benchmark mutants gpu-check rulegraph keys upgrade slurm-sandbox slurm-sandbox-stop slurm-cleanup

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 22

setup: $(INSTALLED)  ## create .venv with the package and the tested versions of all it needs

$(INSTALLED): pyproject.toml envs/shadowmill.yaml
	@command -v git >/dev/null || { echo "git is missing: install it first" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 to 3.13, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), 3.11 to 3.13 is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 14))' || { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), for which immutables, which Snakemake needs, has no wheel yet; 3.11 to 3.13 is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@test -n "$(UV)" || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: python3-venv)" >&2; exit 1; }
	@echo "Setting up $(VENV): a few minutes and about 6 GB, mostly PyTorch"
	@$(new_venv)
	@sed -n 's/^ *- \(.*==.*\)/\1/p' envs/shadowmill.yaml > $(VENV)/pins.txt
	@$(install) --constraint $(VENV)/pins.txt --editable .
	@touch $@

$(TOOLS): $(INSTALLED)
	@$(install) --constraint $(VENV)/pins.txt --editable '.[dev]'
	@touch $@

STUDY ?= quickstart reconstruction_quickstart
# So that Ctrl-C prints no traceback.
quickstart report: export PYTHONPATH := scripts/python_start
quickstart: $(INSTALLED)  ## two whole audits on real data, minutes on two cores
	@snakemake --profile profiles/local -- $(STUDY)
	@$(MAKE) --no-print-directory report
	@python scripts/print_summary.py $(STUDY)

report: $(INSTALLED)  ## results/report.html of finished studies: make report STUDY=pruning
	@test "$$(cat results/.reported 2>/dev/null)" = "$(STUDY)" \
		&& test -z "$$(find $(STUDY:%=results/%/tables) $(STUDY:%=results/%/figures) -newer results/.reported)" \
		|| { snakemake --quiet host --report results/report.html -- $(STUDY) && echo $(STUDY) > results/.reported; }

test: $(TOOLS)  ## all tests; those of Slurm need Debian packages, see docs/cluster.md
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

test-quick: $(TOOLS)  ## those that take a second at most, in a minute and a half
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= python -m pytest -n auto -m "not slow and not long"

test-slow: $(TOOLS)  ## the tests that take minutes each: outages and limits of Slurm, whole studies
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= python -m pytest -n auto --dist loadfile -m slow

lint: $(TOOLS)  ## formatting, style, and Snakemake's own linter
	ruff check . && ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

benchmark: $(INSTALLED)  ## speed, as ratios measured in one run
	@python benchmarks/run.py

mutants: $(TOOLS)  ## small faults in the code, one at a time: which would no test notice? a quarter of an hour
	@python benchmarks/mutants.py

gpu-check:  ## tests and speed of a GPU, on the torch that this machine has, into results/gpu-check.json
	@PYTHONPATH=scripts$${PYTHONPATH:+:$$PYTHONPATH} $(PYTHON) benchmarks/gpu_check.py

rulegraph: $(INSTALLED)  ## docs/rulegraph.svg, needs graphviz
	snakemake --rulegraph -- pruning | dot -Tsvg > docs/rulegraph.svg

keys: $(INSTALLED)  ## docs/keys.md, the reference of all keys of the configuration
	@PYTHONPATH=scripts python -m shadowmill.config.reference > docs/keys.md

# For the oldest Python, as all newer ones can have what that one can.
upgrade: $(TOOLS)  ## newest versions of everything into envs/shadowmill.yaml; run the tests afterwards
	@uv pip compile --quiet --no-header --no-annotate --extra dev --python-version 3.11 \
		--output-file $(VENV)/upgraded.txt --upgrade pyproject.toml
	@{ sed '/==/d' envs/shadowmill.yaml; sed 's/^/      - /; s/+[a-z0-9.]*$$//' $(VENV)/upgraded.txt; } > $(VENV)/upgraded.yaml
	@mv $(VENV)/upgraded.yaml envs/shadowmill.yaml
	@$(MAKE) --no-print-directory setup

slurm-sandbox:  ## start a private Slurm cluster of four emulated nodes on this machine
	@scripts/slurm_sandbox.sh start

slurm-sandbox-stop:  ## stop it
	@scripts/slurm_sandbox.sh stop

slurm-cleanup:  ## after a lost driver: cancel this checkout's Slurm jobs, remove the lock
	@scripts/slurm_cleanup.sh
