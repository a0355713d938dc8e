# `make demo` trains on small digits and samples from the result, `make demo-color` on cartoons in
# colour, which takes longer; `make check` checks the source and what is quickly tested, `make test`
# everything; `make docs` builds the documentation as a site.
# All make their own environment in .venv; after a change of PYTHON, `make clean` first.

PYTHON ?= python3
VENV := .venv
# Where this is set, as in some containers, every process compiles all of TensorFlow's Python: 20 s.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo demo-color check test docs clean

# Of a data set, and the labels that its grid shows.
define demonstrate
	$(VENV)/bin/python -m sagan_tf.train --dataset=$(1) --workdir=runs/$(1)
	$(VENV)/bin/python -m sagan_tf.sample --workdir=runs/$(1) --labels=$(2) --seeds=0-7 --out=runs/$(1)/grid.png
	@echo
	@echo "Sample grid: runs/$(1)/grid.png"
	@echo "Checkpoints: runs/$(1)/checkpoints"
	@echo "Curves:      $(VENV)/bin/tensorboard --logdir=runs/$(1)/tensorboard"
endef

demo: $(VENV)/installed
	$(call demonstrate,digits,0-9)

demo-color: $(VENV)/installed-robohash
	$(call demonstrate,robohash,0-3)

# Style, spelling and types.
define check_source
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/codespell sagan_tf docs README.md tests docker
	$(VENV)/bin/mypy
endef

# Needs no network; warnings are errors.
define build_docs
	$(VENV)/bin/sphinx-build -q -W --keep-going -b html docs docs/_build/html
endef

# These need neither PyTorch, JAX nor Chromium, and take less than two minutes on two cores.
QUICK_TESTS := $(addprefix tests/,attention data geotex layers machine output run \
  test_architecture.py test_config.py test_documentation.py test_figures.py test_losses.py \
  test_sampling.py) \
  --ignore=tests/attention/test_map_page.py
# A test that ends its process would be tried again in a new one, for ever.
PYTEST := $(VENV)/bin/python -m pytest -q -n auto --dist=loadfile --no-loadscope-reorder \
  --max-worker-restart=0

check: $(VENV)/installed-test
	$(check_source)
	$(PYTEST) $(QUICK_TESTS)

test: $(VENV)/installed-test
	$(check_source)
	$(build_docs)
	$(PYTEST)

docs: $(VENV)/installed-docs
	$(build_docs)
	@echo "Site: docs/_build/html/index.html"

clean:
	rm -rf $(VENV) docs/_build

# The environment is made anew only when pyproject.toml has changed.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c "" 2>/dev/null || { \
	  echo "Python not found: $(PYTHON). Name one that is 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed. Found: $$($(PYTHON) --version 2>&1) as $(PYTHON)." \
	  "Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) lacks the venv module. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@echo "Installing TensorFlow and the rest, about 2 GB on disk: this takes minutes."
	$(VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-robohash: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -e ".[robohash]"
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -e ".[docs]"
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -e ".[test]"
	@command -v chromium chromium-browser || $(VENV)/bin/playwright install --with-deps chromium
	npm install --silent --no-save --no-package-lock onnxruntime-web@1  # of the page of `export`
	@touch $@
