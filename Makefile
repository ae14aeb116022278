# make demo   set up once, then open the app       (PORT=7861 make demo, make demo ARGS="--help")
# make test   set up once, then lint and test      (make test ARGS="-k detections -x")
# make lint   only lint                            (make format mends what a tool can mend)
# make clean  throw the environment away

VENV := .venv
# The first of these that is new enough builds the environment; PYTHON=/path/to/python make demo names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

.PHONY: demo test lint format clean

demo: $(VENV)/.app
	$(if $(PORT),GRADIO_SERVER_PORT=$(PORT)) $(VENV)/bin/python app.py $(ARGS)

test: lint
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV)

# Empty files say what was installed last; they are older than a list of packages that has changed since.
$(VENV)/.app: requirements.txt | $(VENV)/bin/python
	$(PIP) install --quiet -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(PIP) install --quiet -r requirements.txt -r requirements-dev.txt
	@touch $@ $(VENV)/.app

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found."; \
		echo "Install it (https://www.python.org/downloads/) or run: make demo PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version); the first time, this downloads a few hundred megabytes."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "No environment could be made. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
