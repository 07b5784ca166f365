#!/bin/sh
# A promotion with approvals, from the policy to the rollback:  sh examples/approval-flow.sh
# Uses the mreg on the PATH, or installs it into .venv. All data is in a temporary folder.
set -eu
cd "$(dirname "$0")/.."

if ! command -v mreg >/dev/null 2>&1; then
    . examples/venv.sh
    [ -x .venv/bin/mreg ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable .
    PATH="$PWD/.venv/bin:$PATH"
fi
models="$PWD/examples/models"
work=$(mktemp -d "${TMPDIR:-/tmp}/mreg-approval.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export MREG_CATALOG="$work/catalog.db" MREG_ARTIFACTS="$work/artifacts"

as() { # USER COMMAND...: runs a command as a user
    user=$1
    shift
    printf '\n%s$ %s\n' "$user" "$*"
    MREG_USER=$user "$@"
}
refused() { # CODE USER COMMAND...: the same for a command that must fail with this exit code
    expected=$1
    shift
    code=0
    as "$@" || code=$?
    [ "$code" = "$expected" ] || { echo "expected exit $expected, got $code" >&2; exit 1; }
}

cat > "$work/policy.yaml" <<'END'
Production:
  from: Staging
  gates: ["accuracy >= 0.9", "accuracy >= production.accuracy - 0.005"]
  approvals: 1
  approvers: [lead, risk]
END

as ada mreg push "$models/logistic/model.joblib" --name digits --metrics-file "$models/logistic/metrics.json"
as lead mreg policy apply "$work/policy.yaml"
refused 1 ada mreg promote digits@1 --to production # not in Staging
as ada mreg promote digits@1
refused 5 ada mreg promote digits@1 --to production # not approved
as ada mreg approvals
refused 5 ada mreg approve digits@1                 # not an approver
as lead mreg approve digits@1 --comment "checked on the held-out images"
as ada mreg promote digits@1 --to production --plan --exit-zero
as ada mreg promote digits@1 --to production

as ada mreg push "$models/svm/model.joblib" --name digits --metrics-file "$models/svm/metrics.json" --parent digits@1
as ada mreg promote digits@2
as lead mreg approve digits@2
as risk mreg reject digits@2 --reason "slow on the oldest phones"
refused 5 ada mreg promote digits@2 --to production # rejected
as risk mreg reject digits@2 --withdraw
as ada mreg promote digits@2 --to production --reason "better on the held-out images"
as ada mreg why digits@production
as ada mreg rollback digits --reason "errors in checkout"
as ada mreg show digits
as ada mreg history digits --limit 5
as ada mreg audit verify
printf '\nDone. The registry of this run was temporary and is removed.\n'
