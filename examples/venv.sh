# Sourced by scripts in the root of the repository: creates .venv with Python 3.11 or newer if it is missing.
for candidate in "${MREG_PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3; do
    [ ! -x .venv/bin/python ] && [ -n "$candidate" ] || continue
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    "$candidate" -m venv .venv
done
[ -x .venv/bin/python ] || { echo "mreg needs Python 3.11 or newer" >&2; exit 1; }
