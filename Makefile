# Two commands: `make profile` installs and profiles the shipped eval; `make test` installs and passes the tests.
PYTHON ?= python3
VENV := .venv
# A first report needs no more passages; `make full` and `make grow` take all of them.
PASSAGES ?= 1000
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EXTRAS := python-docs,dev,langchain,llamaindex,haystack,opentelemetry,pgvector,site
# A caller's settings of pip stay in force, for uv too: it installs in a third of the time. Where it cannot, pip does.
# The versions are those of constraints.txt.
PIP := $(BIN)/python -m pip
PIP_INSTALL := $(PIP) install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
setting = $$($(PIP) config list | sed -n "s/^[^=]*\.$(1)='\(.*\)'$$/\1/p" | head -n 1)
define install
index="$(call setting,index-url)"; \
UV_EXTRA_INDEX_URL="$(call setting,extra-index-url)" UV_FIND_LINKS="$(call setting,find-links)" \
  $(BIN)/python -m uv pip install --quiet --index-strategy unsafe-best-match $${index:+--default-index "$$index"} \
  --python $(BIN)/python --constraint constraints.txt $(1) || $(PIP_INSTALL) $(1)
endef

# Bytecode is kept beside the packages, whatever a caller's environment says: compiling them takes longer than a report.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: sbom vulnerabilities profile full grow inject reranker test reading site suite check benchmark clean browser

profile: $(INSTALLED)
	$(BIN)/ragprof run evals/python-docs.toml --passages $(PASSAGES)

full: $(INSTALLED)
	$(BIN)/ragprof run evals/python-docs.toml --full

grow: $(INSTALLED)
	$(BIN)/ragprof grow evals/python-docs.toml

# A model answers: Gemma 3 270M (about 240 MB, under Gemma's own terms of use) is installed for it.
inject: $(VENV)/.installed-llm
	$(BIN)/ragprof inject evals/python-docs.toml

reranker: $(INSTALLED)
	$(BIN)/ragprof reranker evals/python-docs.toml

# While the tests are collected a core is free: the code is read meanwhile.
test: $(INSTALLED) browser
	@$(MAKE) --no-print-directory --jobs 2 reading suite

reading: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(MAKE) --no-print-directory site

# The documentation as pages in build/site, from docs/; a link that leads nowhere ends it.
site: $(INSTALLED)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir .ci/site docs build/site

suite: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

benchmark: $(VENV)/.installed-llm
	$(BIN)/python evals/performance/embedding.py
	$(BIN)/python evals/performance/bm25.py
	$(BIN)/python evals/performance/growth.py
	$(BIN)/python evals/performance/answers.py
	$(BIN)/python evals/performance/reranker.py
	$(BIN)/python evals/performance/precision.py
	$(BIN)/python evals/performance/gates.py simulated
	$(BIN)/python evals/performance/start.py

# The report is opened in a real browser by the tests; where none is found and none can be installed, they skip.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    { apt-get -qq update && apt-get -qq install -y chromium fonts-dejavu-core; } >/dev/null 2>&1; } || \
	  echo "no chromium here: the browser tests will be skipped"

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing pinned packages into $(VENV) (about a minute the first time)"
	@$(PIP_INSTALL) uv || echo "no uv here: pip installs"
	@$(call install,torch==2.13.0 --editable '.[$(EXTRAS)]')
	@touch $@

$(VENV)/.installed-llm: $(INSTALLED)
	@$(call install,--editable '.[local-llm]')
	@touch $@

clean:
	rm -rf $(VENV) reports/*/.partial

# A software bill of materials of this environment, and what is known against its packages (asks the advisory database).
sbom: $(INSTALLED) build/tools
	build/tools/bin/cyclonedx-py environment $(BIN)/python -o build/sbom.json

vulnerabilities: build/tools
	build/tools/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

build/tools:
	$(PYTHON) -m venv build/tools
	build/tools/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom pip-audit
