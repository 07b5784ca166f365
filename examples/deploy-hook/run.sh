#!/bin/sh
# Deploy on promote: a promotion restarts a service with the new model, and a model that does not load is rolled back
# automatically:  sh examples/deploy-hook/run.sh
# Uses mreg and scikit-learn from the PATH, or installs them into .venv.
set -eu
cd "$(dirname "$0")/../.."

if ! command -v mreg >/dev/null 2>&1; then
    . examples/venv.sh
    [ -x .venv/bin/mreg ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable . scikit-learn
    PATH="$PWD/.venv/bin:$PATH"
fi
here="$PWD/examples/deploy-hook"
models="$PWD/examples/models"
work=$(mktemp -d "${TMPDIR:-/tmp}/mreg-deploy.XXXXXX")
export SERVICE_FOLDER="$work/service"
end() {
    [ ! -f "$SERVICE_FOLDER/pid" ] || kill "$(cat "$SERVICE_FOLDER/pid")" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
SERVICE_PORT=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export SERVICE_PORT

cat > "$work/profiles.yaml" <<END
default: shop
profiles:
  shop:
    catalog: catalog.db
    hooks:
      - name: deploy
        stage: Production
        models: "digits"
        command: [sh, "$here/deploy.sh"]
        env: [SERVICE_FOLDER, SERVICE_PORT]
        timeout: 120
        on_failure: rollback
END
export MREG_CONFIG="$work/profiles.yaml"
run() {
    printf '\n$ %s\n' "$*"
    "$@"
}
ask() {
    python - "$SERVICE_PORT" <<'END'
import json, sys, urllib.request

pixels = [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0, 0, 8, 8, 0,
          0, 5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0]
request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/predict", json.dumps({"pixels": pixels}).encode())
print(urllib.request.urlopen(request, timeout=10).read().decode())
END
}

run mreg push "$models/logistic/model.joblib" --name digits --metrics-file "$models/logistic/metrics.json"
run mreg promote digits@1 --to production
run ask
run mreg push "$models/svm/model.joblib" --name digits --metrics-file "$models/svm/metrics.json"
run mreg promote digits@2 --to production
run ask
echo "not a model" > "$work/broken.joblib"
run mreg push "$work/broken.joblib" --name digits
printf '\n$ mreg promote digits@3 --to production\n'
if mreg promote digits@3 --to production; then
    echo "a model that does not load was deployed" >&2
    exit 1
fi
run ask
run mreg deployments digits
run mreg show digits
printf '\nDone. The service is stopped and all data is removed.\n'
