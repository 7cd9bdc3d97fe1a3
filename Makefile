# Two commands: `make run` runs every contract and verifies the evidence; `make test` runs the tests, ruff and mypy.
# On first use, both create .venv from pinned constraints. They need Python 3.11 or newer.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CONTRACTS ?= contracts/
PYTHONS ?= 3.11,3.12,3.13
MINUTES ?= 60

.PHONY: run test trust mutate lint nightly families docs wheelhouse clean

run: $(READY)
	$(BIN)/harness run $(CONTRACTS)
	$(BIN)/harness verify evidence

test: $(READY) lint
	$(BIN)/pytest -n 2 --dist worksteal

# All of what `make test` runs a sample of: every attack, example and tutorial; hours on two cores.
trust: $(READY)
	$(BIN)/pytest -n 2 --dist worksteal --whole --figures docs/reliability.md

# Mutation testing of judge, verify, gate and the gradient checker; ARGS='harness.judging.ship*' for a part. It goes on where it was stopped.
mutate: $(READY)
	$(BIN)/python benchmarks/mutate.py $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Every claim with seeds 0 to 99, as far as the time allows; the next call goes on after the last line of seeds.jsonl.
nightly: $(READY)
	$(BIN)/python benchmarks/seeds.py --minutes $(MINUTES) --done seeds.jsonl

# Every declared family under the checkpoint claims, by transformers: ARGS="--variants all --seeds 0-4" for all of them.
families: $(READY)
	$(BIN)/python benchmarks/families.py $(ARGS)

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# For ci/gpu.sh on a machine without a network: docs/cuda.md. WITH="numpy" adds what that machine lacks.
wheelhouse: $(READY)
	$(BIN)/python ci/wheelhouse.py wheelhouse --pythons $(PYTHONS) $(foreach name,$(WITH),--with $(name))

# torch is pinned exactly, because pip would install gigabytes of CUDA packages with another version.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"found Python {sys.version.split()[0]}, expected 3.11 or newer; set PYTHON="'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torch,hf,interop,triton,report,docs,completion,dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
