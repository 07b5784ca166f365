#!/bin/sh
# A team's road to Production: a policy, gates, an approval, a rejection, a rollback:  sh examples/approval-flow.sh
# Keeps everything in a folder of its own; uses the mreg on the PATH, or makes .venv here.
set -eu
cd "$(dirname "$0")/.."

if ! command -v mreg >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || python3 -m venv .venv
    [ -x .venv/bin/mreg ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable .
    PATH="$PWD/.venv/bin:$PATH"
fi
models="$PWD/examples/models"
work=$(mktemp -d "${TMPDIR:-/tmp}/mreg-approval.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export MREG_CATALOG="$work/catalog.db" MREG_ARTIFACTS="$work/artifacts"

as() { # PERSON WORDS...: a command as somebody
    person=$1
    shift
    printf '\n%s$ %s\n' "$person" "$*"
    MREG_USER=$person "$@"
}
refused() { # CODE PERSON WORDS...: a command that must be refused with this exit code
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
refused 1 ada mreg promote digits@1 --to production # not from Staging
as ada mreg promote digits@1
refused 5 ada mreg promote digits@1 --to production # not approved
as ada mreg approvals
refused 5 ada mreg approve digits@1                 # not an approver
as lead mreg approve digits@1 --comment "checked on the held-out images"
as ada mreg promote digits@1 --to production --plan
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
printf '\nDone. Everything above ran against a store of its own, which is gone again.\n'
