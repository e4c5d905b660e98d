# Two commands do everything: "make demo" and "make test". Each sets up what it needs.

PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
PEERS := benchmarks/.peers
CLIENTS := tests/clients/node
FIGURES := fanout latency heartbeat slow growth workers others async_sources jobs
PORT ?= 8000
# Property tests try this many examples; without it, as few as take a second.
EXAMPLES := 100
# Most tests wait for servers, so more of them run in parallel than there are cores.
SPREAD := -n 3 --dist loadfile
# The same random order each time, so that a failure belongs to the change; the soak shuffles anew.
ORDER := --randomly-seed=1
RUNS ?= 3
SOAK ?= 3
export PORT
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo demo-django pages screenshots test lint test-newest test-oldest bench peers soak \
	clean system-demo system-test

help:
	@echo "make demo         run the Flask examples on gunicorn with gevent, PORT=$(PORT)"
	@echo "make demo-django  run the same examples in Django"
	@echo "make pages        build the pages with React, Vue, the AI SDK, htmx and Datastar; needs npm"
	@echo "make screenshots  take the pictures in docs/images again"
	@echo "make test         check style and types, and run every test on the newest and oldest versions"
	@echo "make bench        measure what streams cost, next to other libraries; about two hours, RUNS=$(RUNS)"
	@echo "make soak         what takes too long for make test: about an hour, SOAK=$(SOAK) rounds of live tests"
	@echo "make clean        remove everything the other commands created"

demo: system-demo $(VENV)/demo-ready pages
	@echo "The Flask examples: http://127.0.0.1:$(PORT)/   (Ctrl-C to stop)"
	@$(VENV)/bin/gunicorn -c example_flask/gunicorn.conf.py

demo-django: system-demo $(VENV)/demo-ready pages
	@echo "The Django examples: http://127.0.0.1:$(PORT)/   (Ctrl-C to stop)"
	@$(VENV)/bin/gunicorn -c example_django/gunicorn.conf.py

# Five pages need npm; without it they say so, and the others work.
pages:
	@if command -v npm >/dev/null 2>&1; then \
		$(MAKE) --no-print-directory example_pages/built/react.js || \
			echo "npm failed: the pages with React, Vue, the AI SDK, htmx and Datastar are not available."; \
	else \
		echo "npm is not installed: the pages with React, Vue, the AI SDK, htmx and Datastar are not available."; \
	fi

PAGE_SOURCES := $(wildcard example_pages/*.js* example_pages/react/* example_pages/vue/* \
	example_pages/libraries/*)

example_pages/built/react.js: $(PAGE_SOURCES)
	cd example_pages && npm install --no-package-lock --silent --no-audit --no-fund && npm run --silent build

screenshots: system-test $(VENV)/test-ready pages
	$(VENV)/bin/pip install --quiet pillow
	$(VENV)/bin/python scripts/screenshots.py

test: lint test-newest test-oldest

lint: system-test $(VENV)/test-ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test-newest: system-test $(VENV)/test-ready example_pages/built/react.js $(CLIENTS)/built/datastar.js
	EXACTLY_ONCE_SEEDS=1000 EXAMPLES=$(EXAMPLES) $(VENV)/bin/python -X dev -m pytest $(SPREAD) $(ORDER)

# Clients of npm that read our streams.
$(CLIENTS)/built/datastar.js: $(CLIENTS)/package.json $(wildcard $(CLIENTS)/browser/*.js)
	cd $(CLIENTS) && npm install --no-package-lock --silent --no-audit --no-fund && npm run --silent build

# The oldest supported releases, pinned in tests/oldest.txt.
# Other servers, and slow tests that do not depend on versions, run on the newest only.
test-oldest: system-test $(OLDEST)/test-ready
	$(OLDEST)/bin/python -m pytest $(SPREAD) $(ORDER) tests/fronts tests/brokers tests/live/test_gunicorn.py \
		tests/live/test_servers.py tests/live/test_channels.py tests/live/test_handoff.py \
		-k "not (waitress or uwsgi or cheroot or wsgiref or pywsgi or tracing)"

bench: system-test $(VENV)/test-ready peers
	$(VENV)/bin/python -m benchmarks.streams
	$(VENV)/bin/python -m benchmarks.channels
	for figure in $(FIGURES); do \
		$(VENV)/bin/python -m benchmarks.$$figure --runs $(RUNS) \
			--json build/benchmarks/$$figure.json || exit 1; \
	done
	$(VENV)/bin/python -m benchmarks.plot build/benchmarks/fanout.json benchmarks/fanout.svg

# The libraries to compare with; without npm, only those in Python.
peers: $(PEERS)/python-ready $(PEERS)/node-ready

soak: system-test $(VENV)/test-ready example_pages/built/react.js $(CLIENTS)/built/datastar.js
	EXACTLY_ONCE_SEEDS=10000 $(VENV)/bin/python -m pytest -q -n 2 tests/core/streams/test_exactly_once.py
	for run in $$(seq $(SOAK)); do $(VENV)/bin/python -m pytest -q $(SPREAD) tests/live || exit 1; done
	CHAOS_FIRST=1 CHAOS_RUNS=10 CHAOS_SECONDS=12 $(VENV)/bin/python -m pytest -q tests/live/test_chaos.py
	ALL_EXAMPLES=1 $(VENV)/bin/python -m pytest -q tests/live/test_examples.py
	PEOPLE_RUNS=10 PEOPLE_ROUNDS=5 $(VENV)/bin/python -m pytest -q tests/live/test_people.py
	CLIENTS_HEARTBEAT=15 $(VENV)/bin/python -m pytest -q $(SPREAD) tests/clients

clean:
	rm -rf $(VENV) $(OLDEST) $(PEERS) example_pages/built example_pages/node_modules build dist \
		$(CLIENTS)/built $(CLIENTS)/node_modules \
		*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

system-demo:
	@sh scripts/system-packages.sh demo

system-test:
	@sh scripts/system-packages.sh test

$(VENV)/demo-ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable ".[flask,django,gunicorn,redis]" flask-sqlalchemy
	touch $@

$(VENV)/test-ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable ".[test]"
	touch $@ $(VENV)/demo-ready

$(OLDEST)/test-ready: setup.cfg pyproject.toml tests/oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --editable . --requirement tests/oldest.txt
	touch $@

$(PEERS)/python-ready: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)/venv
	$(PEERS)/venv/bin/pip install --quiet --requirement $<
	touch $@

$(PEERS)/node-ready: benchmarks/peers/package.json
	@mkdir -p $(PEERS)
	@if command -v npm >/dev/null; then \
		cp $< $(PEERS) && cd $(PEERS) && \
		npm install --no-package-lock --no-audit --no-fund --silent && touch node-ready; \
	else echo "npm is not installed, so better-sse is left out: apt install nodejs npm" >&2; fi
