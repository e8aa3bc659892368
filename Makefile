# Two commands for a newcomer: `make demo` and `make test`. `make help` lists all of them.
# A file below .venv marks each finished step of the set-up: a second run has nothing to do.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# every wheel is listed with its hash, so nothing is resolved, compiled or taken from elsewhere
INSTALL := $(PIP) install --no-deps --require-hashes --only-binary :all:
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock'

PYTHON ?= python3.13 python3.12 python3.11 python3
SUITABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
VIDEO ?=
# through the environment: a path may hold spaces and quotes
export VIDEO
ARGS ?=
# processes of tests: they wait more than they compute
AT_ONCE ?= 2
# where the checks of images and manifests have their tools
CHECKS := .venv-checks
# where `make mmdet` puts its environment
MMDET := .venv-mmdet

# the page of `reelgraph serve`: npm brings its few libraries, and what is built needs no Node
WEB := services/web
PAGE := $(WEB)/static/index.html
PAGE_SOURCES := $(wildcard $(WEB)/*.html $(WEB)/*.svg $(WEB)/*.mjs $(WEB)/src/*.ts* $(WEB)/src/*/*)
NO_NPM := npm is not here, so the page of `reelgraph serve` is not built; all else works. Install npm, then: make page

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test hostile chaos load check bench setup engines mmdet k8s-tools k8s-check images hosts sbom page lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.weights page-or-why ## analyse a sample reel, or VIDEO=path, with the models of the local profile
	@if [ -n "$$VIDEO" ]; then $(BIN)/reelgraph analyze --out demo -- "$$VIDEO"; else $(BIN)/reelgraph demo --out demo; fi

test: $(VENV)/.dev $(VENV)/.weights page-or-why ## run all tests (ARGS='-k name' for some)
	@$(BIN)/python -m pytest --numprocesses $(AT_ONCE) --dist loadfile --no-loadscope-reorder $(ARGS)

hostile: $(VENV)/.dev ## the whole corpus of hostile files and requests, 25 times what `make test` reads of it
	@REELGRAPH_HOSTILE_EACH=25 $(BIN)/python -m pytest --timeout 3600 tests/test_hostile.py tests/test_isolated.py $(ARGS)

chaos: $(VENV)/.dev $(VENV)/.weights ## break a running service in many ways and say what held (ARGS=--short: a few)
	@$(BIN)/python -m tests.chaos $(ARGS)

load: $(VENV)/.dev $(VENV)/.weights ## 200 jobs at once, then 20 minutes of work (ARGS='--jobs 200 --minutes 20')
	@$(BIN)/python -m tests.load $(ARGS)

check: $(VENV)/.dev ## format, lint, types, layers, documents: the fast one, run before each commit
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/reelgraph render --check
	@$(BIN)/python -m pytest --quiet tests/test_readme.py tests/test_requirements.py tests/test_conventions.py

bench: $(VENV)/.dev $(VENV)/.weights ## measure, one JSON line a row (ARGS=--short: under three minutes; ARGS='--clip VIDEO --out FILE')
	@$(BIN)/python -m bench $(ARGS)

setup: $(VENV)/.dev page-or-why ## install everything but the models

page: $(PAGE) ## build the page of `reelgraph serve` (takes npm)

engines: $(VENV)/.gpu ## install what the models of the gpu profile need, so that `make test` runs tiny ones, too

mmdet: $(MMDET)/.made ## an environment upon this one with mmdet, the second detection engine

k8s-tools: $(CHECKS)/.made k8s/checks/node_modules/.installed ## install what judges images and manifests (takes npm)

k8s-check: $(VENV)/.dev k8s-tools ## judge Dockerfiles, the compose file and the Kubernetes manifests
	@REELGRAPH_REQUIRE_ALL=1 $(BIN)/python -m pytest tests/deploy $(ARGS)

images: page sbom ## build the images with buildah and run them with podman (takes root; docs/deploy.md)
	@docker/build $(ARGS)

hosts: $(VENV)/.dev ## a video over three hosts, and each of their links cut for 20 s (takes root; three minutes)
	@REELGRAPH_TEST_HOSTS=1 REELGRAPH_REQUIRE_ALL=1 $(BIN)/python -m pytest tests/hosts $(ARGS)

sbom: $(CHECKS)/.made ## list what each image holds, with hashes, as CycloneDX in build/sbom
	@mkdir -p build/sbom
	@for name in api flower cpu server gpu mmdet; do \
	  $(CHECKS)/bin/cyclonedx-py requirements requirements/$$name.txt --output-reproducible -o build/sbom/$$name.cdx.json || exit 1; \
	done; ls build/sbom

lock: $(VENV)/.dev ## compile requirements/*.txt (ARGS=--upgrade for the newest versions)
	$(LOCK) $(ARGS) pyproject.toml requirements/cpu.in --output-file requirements/cpu.txt
	$(LOCK) $(ARGS) requirements/server.in --output-file requirements/server.txt
	$(LOCK) $(ARGS) requirements/dev.in --output-file requirements/dev.txt
	$(LOCK) $(ARGS) requirements/api.in --output-file requirements/api.txt
	$(LOCK) $(ARGS) requirements/flower.in --output-file requirements/flower.txt
	$(LOCK) $(ARGS) requirements/checks.in --output-file requirements/checks.txt
	printf "torch; sys_platform == 'never'\ntorchvision; sys_platform == 'never'\n" >$(VENV)/no-torch.txt
	$(LOCK) $(ARGS) --override $(VENV)/no-torch.txt --no-emit-package torch requirements/gpu.in --output-file requirements/gpu.txt
	$(LOCK) $(ARGS) --constraint requirements/cpu.txt requirements/mmdet.in --output-file requirements/mmdet.txt

clean: ## remove what these commands made in this folder
	rm -rf $(VENV) $(MMDET) $(CHECKS) k8s/checks/node_modules $(WEB)/static $(WEB)/build $(WEB)/node_modules demo build dist
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.made:
	@for python in $(PYTHON); do \
	  if "$$python" -c '$(SUITABLE)' 2>/dev/null; then \
	    echo "Making $(VENV) with $$("$$python" --version)"; \
	    "$$python" -m venv $(VENV) && touch $@; exit; \
	  fi; \
	done; \
	echo 'Reelgraph needs Python 3.11, 3.12 or 3.13 with its venv module, and none of these is: $(PYTHON).' >&2; \
	echo 'Install one (Debian, Ubuntu: apt-get install python3-venv) or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3' >&2; \
	exit 1

$(VENV)/.cpu: requirements/cpu.txt | $(VENV)/.made
	$(INSTALL) --requirement requirements/cpu.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt | $(VENV)/.reelgraph
	$(INSTALL) --requirement requirements/dev.txt
	@touch $@

# torch with its own dependencies: on most machines these are CUDA's libraries
$(VENV)/.gpu: requirements/gpu.txt requirements/torch.txt | $(VENV)/.dev
	$(INSTALL) --requirement requirements/gpu.txt
	$(PIP) install "$$(grep ^torch== requirements/torch.txt)"
	$(PIP) install --no-deps "$$(grep ^torchvision== requirements/torch.txt)" "$$(grep ^openai-whisper== requirements/torch.txt)"
	$(BIN)/reelgraph models pull transnetv2
	@touch $@

# hatchling is in cpu.txt: building the project needs no network
$(VENV)/.reelgraph: pyproject.toml | $(VENV)/.cpu
	$(PIP) install --no-index --no-deps --no-build-isolation --quiet --editable .
	@touch $@

# what is installed in $(VENV), and mmdet over it: it asks for older versions than the rest can use
$(MMDET)/.made: requirements/mmdet.txt | $(VENV)/.gpu
	$(BIN)/python -m venv --clear $(MMDET)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(echo $(MMDET)/lib/python*/site-packages)/below.pth"
	$(MMDET)/bin/python -m pip --disable-pip-version-check --no-input install --no-deps --require-hashes --only-binary :all: --requirement requirements/mmdet.txt
	@touch $@

$(CHECKS)/.made: requirements/checks.txt | $(VENV)/.made
	$(BIN)/python -m venv --clear $(CHECKS)
	$(CHECKS)/bin/python -m pip --disable-pip-version-check --no-input install --no-deps --require-hashes --only-binary :all: --requirement requirements/checks.txt
	@touch $@

k8s/checks/node_modules/.installed: k8s/checks/package-lock.json
	npm ci --prefix k8s/checks --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

.PHONY: page-or-why
page-or-why:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(PAGE); else echo '$(NO_NPM)'; fi

# no package runs a script of its own: esbuild's binary is a package too
$(WEB)/node_modules/.installed: $(WEB)/package-lock.json
	npm ci --prefix $(WEB) --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

$(PAGE): $(PAGE_SOURCES) $(WEB)/node_modules/.installed
	npm run --prefix $(WEB) --silent build

$(VENV)/.weights: shared/weights.toml | $(VENV)/.reelgraph
	$(BIN)/reelgraph models pull --profile local
	@touch $@
