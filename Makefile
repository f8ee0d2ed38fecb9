# make install     the environment alone, in .venv
# make reproduce   from nothing to the paper's figures and tables, in the quick profile
# make test        from nothing to the whole test suite, with lint and type check
# make test-all    the same with the longest tests, some minutes more
# make lock        requirements.lock: the versions in .venv, with hashes, for the image and for exact reproductions
# make image       the image `pie` with docker, podman or buildah; `TORCH=cpu` leaves out CUDA's gigabytes; IMAGE_FLAGS
#                  are the builder's further flags
# make audit       whether a locked version has a known vulnerability
# make bench       this project against FrEIA, normflows and pythae: bench/RESULTS.md; wants an idle machine
# make compression  compressed files against PNG, WebP, xz and others: bench/COMPRESSION.md
# make growth      how time and memory grow with the model, the images and the batch: bench/GROWTH.md
# make docs        the documentation as a site: docs/_build/index.html
PYTHON ?= python3
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
# Three workers of one thread each keep two cores busy: the suite is many small runs, some of which wait for each other.
# Files go out in the order of tests/conftest.py, the longest first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
START := $(shell date +%s)
TORCH ?= cuda
BUILDER ?= docker podman buildah

.PHONY: install reproduce test test-all lint lock image audit bench growth compression docs

install: .venv/installed

# Python compiles what is imported when it is; to compile all of it now takes two thirds of a minute.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev,bench,docs]'
	@touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST)

test-all: lint
	$(PYTEST) -m ""

lock: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group release
	$(BIN)/python -m pip freeze --exclude-editable > .venv/versions.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --constraints .venv/versions.txt \
	    --custom-compile-command "make lock" --output-file requirements.lock

# The first builder that answers: a docker client without its engine does not.
image:
	@for builder in $(BUILDER); do \
	    if $$builder info > /dev/null 2>&1; then \
	        exec $$builder build --build-arg TORCH=$(TORCH) --tag pie --tag pie:$(TORCH) $(IMAGE_FLAGS) .; \
	    fi; \
	done; \
	echo "no image builder answers here: $(BUILDER)" >&2; exit 1

audit: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group release
	$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip

reproduce: install
	$(BIN)/pie reproduce --profile quick
	@seconds=$$(( $$(date +%s) - $(START) )); echo "took $$((seconds / 60)) min $$((seconds % 60)) s"

bench: install
	$(BIN)/python -m bench

docs: install
	$(BIN)/sphinx-build -q -E -n -W --keep-going -c docs . docs/_build

growth: install
	$(BIN)/python -m bench.growth

compression: install
	$(BIN)/python -m bench.compression --threads 1
