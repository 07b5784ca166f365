#!/bin/sh
# Build the documentation site into site/:  sh docs/build.sh
# Creates .venv with mreg and MkDocs if they are missing. Further arguments are passed to mkdocs build.
set -eu
cd "$(dirname "$0")/.."

python=""
for candidate in "${MREG_PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "mreg needs Python 3.11 or newer" >&2; exit 1; }

[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -c 'import fastapi, material, mkdocstrings_handlers.python, mreg' 2>/dev/null ||
    sh tests/install.sh docs
NO_MKDOCS_2_WARNING=1 exec .venv/bin/python -m mkdocs build --strict "$@"
