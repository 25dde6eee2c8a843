# `make` lists what can be done. Everything is installed into .venv; nothing else on the machine is touched,
# except that `make test` installs Debian packages where it may (deploy/test-services.sh).

# The first Python that is new enough; `make run PYTHON=/path/to/python3` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
GENERATED := gen gateway_routes codegen/gen
# Our own schema; the protos of others are imports, which no check of breaking changes looks at.
OWN_PROTOS := --path idl/im --path codegen/proto/idiom
NEWEST_IMAGE = $(shell ls released/*/image.binpb 2>/dev/null | sort -V | tail -n 1)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-long check generate protos lock record clean \
	check-style check-types check-imports check-schema check-breaking check-generated check-packages

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/run.stamp ## Install what is needed and run everything here (SCALE=2: two of each)
	@exec $(BIN)/idiom up $(if $(SCALE),--scale $(SCALE))

test: .venv/dev.stamp .protos/stamp ## Install what tests need and run them (ARGS="-k send": some of them)
	@deploy/test-services.sh
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m "not long" $(ARGS)

test-long: .venv/dev.stamp .protos/stamp .npm/stamp ## Run the tests that take long: against real peers and large foreign schemas
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m long $(ARGS)

check: check-style check-types check-imports check-schema check-breaking check-generated check-packages ## Everything that needs no running system: style, types, imports, schema, generated files
	@echo "All checks passed."

check-style: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check

check-types: .venv/dev.stamp
	$(BIN)/mypy

check-imports: .venv/dev.stamp
	$(BIN)/lint-imports --no-cache

check-schema: .venv/dev.stamp .protos/stamp
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code idl
	$(BIN)/buf format --diff --exit-code codegen/proto

check-breaking: .venv/dev.stamp .protos/stamp
ifeq ($(NEWEST_IMAGE),)
	@echo "Nothing is released yet: no schema to break."
else
	@mkdir -p .cache
	$(BIN)/buf build $(OWN_PROTOS) --output .cache/image.binpb
	$(BIN)/buf breaking .cache/image.binpb --against $(NEWEST_IMAGE) --exclude-imports --config buf.yaml
endif

check-generated: .venv/dev.stamp .protos/stamp
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT \
	&& echo "PATH=$(BIN):\$$PATH buf generate, compared with the committed files" \
	&& PATH="$(CURDIR)/$(BIN):$$PATH" buf generate --output "$$fresh" \
	&& for tree in $(GENERATED); do diff -r -u -x __pycache__ "$$tree" "$$fresh/$$tree" || drift=1; done \
	&& if [ -n "$$drift" ]; then echo "Generated files differ from the schema: run make generate."; exit 1; fi

check-packages: .venv/dev.stamp
	$(PIP) check

generate: .venv/dev.stamp .protos/stamp ## Write gen/, gateway_routes/ and codegen/gen/ from the schema
	PATH="$(CURDIR)/$(BIN):$$PATH" buf generate

protos: .protos/stamp ## Fetch the protos of others that the schema imports

lock: .venv/dev.stamp ## Pin the newest allowed packages in requirements/ (UPGRADE=1), or only what changed
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		$(if $(UPGRADE),--upgrade) pyproject.toml requirements/build.in --output-file requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		$(if $(UPGRADE),--upgrade) --extra dev --constraint requirements/run.txt \
		pyproject.toml requirements/build.in --output-file requirements/dev.txt

record: .venv/dev.stamp .protos/stamp ## Record the schema as released: make record VERSION=0.1.0
	@test -n "$(VERSION)" || { echo "Say which: make record VERSION=0.1.0"; exit 2; }
	mkdir -p released/$(VERSION)
	$(BIN)/buf build $(OWN_PROTOS) --output released/$(VERSION)/image.binpb
	$(BIN)/python -P -m tests.contract.record released/$(VERSION)

clean: ## Remove what was installed and built; data/ stays
	rm -rf .venv .npm .protos .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: an installation is repeated only when its lock has changed.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is not Python 3.11 or newer; set PYTHON=/path/to/python3."; exit 1; }
	@echo "Creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "$(PYTHON) has no venv; on Debian: apt install python3-venv."; exit 1; }

.venv/run.stamp: .venv/bin/python requirements/run.txt pyproject.toml
	@echo "Installing pinned packages (requirements/run.txt); the first time takes a minute or two"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/bin/python requirements/dev.txt pyproject.toml
	@echo "Installing pinned packages (requirements/dev.txt); the first time takes a minute or two"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.protos/stamp: requirements/protos.txt | .venv/dev.stamp
	@echo "Fetching protos of others into .protos"
	@$(BIN)/python -P deploy/protos.py
	@touch $@

.npm/stamp: requirements/npm/package.json requirements/npm/package-lock.json
	@deploy/test-services.sh long
	@command -v npm >/dev/null || { echo "npm is missing; on Debian: apt install npm."; exit 1; }
	@echo "Installing what tests compare with (requirements/npm) into .npm"
	@mkdir -p .npm && cp $^ .npm
	@cd .npm && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
