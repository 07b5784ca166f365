#!/bin/sh
# Build the documentation site into site/:  sh docs/build.sh
# Creates .venv with mreg and MkDocs if they are missing. Further arguments are passed to mkdocs build.
set -eu
cd "$(dirname "$0")/.."

. examples/venv.sh
.venv/bin/python -c 'import fastapi, material, mkdocstrings_handlers.python, mreg' 2>/dev/null ||
    sh tests/install.sh docs
NO_MKDOCS_2_WARNING=1 exec .venv/bin/python -m mkdocs build --strict "$@"
