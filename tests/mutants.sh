#!/bin/sh
# Measure how many seeded single-point mutants of the core modules the tests detect:  sh tests/mutants.sh [options]
# It takes long and is not part of sh tests/run.sh. Options: --module policy --count 10 --seed 1 --jobs 2
set -eu
cd "$(dirname "$0")/.."
exec .venv/bin/python tests/mutants.py "$@"
