#!/bin/sh
# The core workflow with two real models:  sh examples/quickstart.sh
# Needs only Python 3.11 or newer. Installs mreg into .venv in this folder. All data is in a temporary folder.
# MREG_QUICKSTART_PROFILE names a profile to use instead of the temporary folder.
set -eu
cd "$(dirname "$0")/.."

. examples/venv.sh
[ -x .venv/bin/mreg ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[postgres]'
PATH="$PWD/.venv/bin:$PATH"

work=$(mktemp -d "${TMPDIR:-/tmp}/mreg-quickstart.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -n "${MREG_QUICKSTART_PROFILE:-}" ]; then
    export MREG_PROFILE="$MREG_QUICKSTART_PROFILE"
else
    export MREG_CATALOG="$work/catalog.db" MREG_ARTIFACTS="$work/artifacts"
fi

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

models="examples/models"
run mreg --version
run mreg push "$models/logistic/model.joblib" --name digits \
    --metrics-file "$models/logistic/metrics.json" --params-file "$models/logistic/params.json"
run mreg promote digits 1 --to production
run mreg push "$models/svm/model.joblib" --name digits \
    --metrics-file "$models/svm/metrics.json" --params-file "$models/svm/params.json" --parent digits@1 --alias candidate
run mreg show digits
run mreg compare digits 1 2
run mreg compare digits production candidate --fail-on-regression accuracy:0.01
run mreg promote digits@candidate
run mreg promote digits@candidate --reason "better on the held-out images"
run mreg pull digits@production "$work/model.joblib"
run cmp "$work/model.joblib" "$models/svm/model.joblib"
run mreg rollback digits --reason "too slow in the shop"
run mreg list
run mreg search "metrics.accuracy > 0.9" --sort -metrics.accuracy
run mreg lineage digits@1
run mreg history digits
printf '\nDone. The registry of this run was temporary and is removed.\n'
