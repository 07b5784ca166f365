#!/bin/sh
# Install mreg from this tree with the extras of the arguments into .venv:  sh tests/install.sh test docs
# uv is many times as fast as pip, which is used if uv does not reach the package index (it has a configuration of its own).
set -eu
cd "$(dirname "$0")/.."

extras=$(echo "$*" | tr ' ' ,)
if ! .venv/bin/python -m uv --version >/dev/null 2>&1; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5' || true
fi
.venv/bin/python -m uv pip install --quiet --python .venv/bin/python --editable ".[$extras]" 2>/dev/null ||
    exec .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
