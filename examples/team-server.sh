#!/bin/sh
# A CI job and two users share a registry behind mreg serve, each with a token of another role:  sh examples/team-server.sh
# Uses the mreg on the PATH, or installs it into .venv. All data is in a temporary folder, and the server is stopped at the end.
set -eu
cd "$(dirname "$0")/.."

if ! command -v mreg >/dev/null 2>&1; then
    . examples/venv.sh
    [ -x .venv/bin/mreg ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[server]'
    PATH="$PWD/.venv/bin:$PATH"
fi
models="$PWD/examples/models"
for variable in $(env | sed -n -e 's/^\(MREG_[A-Z_]*\)=.*/\1/p' -e 's/^\(XDG_[A-Z]*_HOME\)=.*/\1/p'); do
    unset "$variable"
done
export PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring # logins of this run do not reach your keyring

work=$(mktemp -d "${TMPDIR:-/tmp}/mreg-team.XXXXXX")
server=""
end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$work/server" "$work/olga" "$work/lead" "$work/ci"

exec 3>&1 # shows the commands, also those whose output goes to a file
as() { # USER COMMAND...: runs a command with the home folder of a user
    user=$1
    shift
    printf '\n%s$ %s\n' "$user" "$*" >&3
    HOME="$work/$user" "$@"
}
job() { # COMMAND...: runs a command of the CI job, which has two variables and no profile
    printf '\nci$ %s\n' "$*" >&3
    HOME="$work/ci" MREG_SERVER="$url" MREG_TOKEN="$ci_token" "$@"
}
refused() { # CODE TEXT as|job COMMAND...: a command that must fail with this exit code and a message with this text
    expected=$1
    text=$2
    shift 2
    code=0
    "$@" 2>"$work/error" || code=$?
    cat "$work/error"
    [ "$code" = "$expected" ] || { echo "expected exit $expected, got $code" >&2; exit 1; }
    grep -qF -- "$text" "$work/error" || { echo "expected a message with: $text" >&2; exit 1; }
}
shows() { # TEXT as|job COMMAND...: a command whose output must have this text
    text=$1
    shift
    "$@" >"$work/output"
    cat "$work/output"
    grep -qF -- "$text" "$work/output" || { echo "expected output with: $text" >&2; exit 1; }
}

# On the machine of the server: the first token, and the server. The secret is shown once, so it goes to a file.
as server mreg token create olga --role admin -q >"$work/secret"
olga_token=$(cat "$work/secret")
printf '\nserver$ mreg serve\n'
HOME="$work/server" mreg serve --port 0 >"$work/log" 2>&1 &
server=$!
until grep "^mreg serves" "$work/log" 2>/dev/null; do # its first line has the address, the next ones are the access log
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.2
done
url=$(sed -n 's/^mreg serves .* at \(http:[^,]*\), .*/\1/p' "$work/log")

# Olga, the admin, needs the address and her token from here on.
echo "$olga_token" | as olga mreg login "$url"
as olga mreg profile add team --server "$url"
as olga mreg profile use team
shows admin as olga mreg whoami
cat >"$work/policy.yaml" <<'END'
Production:
  from: Staging
  gates: ["accuracy >= 0.9"]
  approvals: 1
  approvers: [lead]
END
as olga mreg policy apply "$work/policy.yaml"
as olga mreg token create lead --role approver -q >"$work/secret"
lead_token=$(cat "$work/secret")
as olga mreg token create ci --role writer --models 'digits,digits-*' --expires 90d -q >"$work/secret"
ci_token=$(cat "$work/secret")
rm "$work/secret"

# The CI job pushes. Its role, its models and the policy decide what else it can do.
shows writer job mreg whoami
job mreg push "$models/logistic/model.joblib" --name digits --metrics-file "$models/logistic/metrics.json"
shows "digits" job mreg list
refused 1 "limited to the models" job mreg push "$models/logistic/model.joblib" --name fraud
refused 1 "allows only versions from Staging" job mreg promote digits@1 --to production
job mreg promote digits@1
refused 5 "has 0 of 1 approvals for Production" job mreg promote digits@1 --to production
refused 1 "approver" job mreg approve digits@1
refused 1 "admin" job mreg delete digits@1 --yes

# The lead approves, and so the CI job can promote.
echo "$lead_token" | as lead mreg login "$url"
as lead mreg profile add team --server "$url" --model digits
as lead mreg profile use team
shows approver as lead mreg whoami
shows digits@1 as lead mreg approvals
as lead mreg approve 1 --comment "checked on the held-out images"
job mreg promote digits@1 --to production --reason "first model"
as lead mreg pull @production "$work/model.joblib"
as lead cmp "$work/model.joblib" "$models/logistic/model.joblib"
shows "put there by" as lead mreg why @production

# Olga revokes the token of the CI job: its next command is refused.
shows ci as olga mreg token list
as olga mreg token revoke ci
refused 8 "the token 'ci' was revoked" job mreg list
as olga mreg history digits
as olga mreg audit verify
as olga mreg logout
refused 8 "missing token" as olga mreg list
printf '\nDone. The server is stopped and all data is removed.\n'
