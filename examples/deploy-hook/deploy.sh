#!/bin/sh
# The hook: pulls the promoted version, restarts the service with it, and succeeds when the service answers.
# mreg runs it and sets MREG_REFERENCE. env: of the hook names SERVICE_FOLDER and SERVICE_PORT.
set -eu
here=$(dirname "$0")
mkdir -p "$SERVICE_FOLDER"
mreg pull "$MREG_REFERENCE" "$SERVICE_FOLDER/model.joblib" --force
echo "$MREG_REFERENCE" > "$SERVICE_FOLDER/model.txt"

if [ -f "$SERVICE_FOLDER/pid" ]; then
    kill "$(cat "$SERVICE_FOLDER/pid")" 2>/dev/null || true
fi
tries=0
while :; do
    # mreg reads the hook's output until it ends, so the service must not keep that stream open.
    python "$here/service.py" "$SERVICE_FOLDER/model.joblib" "$SERVICE_PORT" > "$SERVICE_FOLDER/log" 2>&1 < /dev/null &
    echo $! > "$SERVICE_FOLDER/pid"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        sleep 0.2
        if python - "$SERVICE_PORT" "$MREG_REFERENCE" <<'END'
import json, sys, urllib.request

try:
    answer = json.load(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/model", timeout=2))
except OSError:
    sys.exit(1)
sys.exit(answer["model"] != sys.argv[2])
END
        then
            echo "$MREG_REFERENCE answers on port $SERVICE_PORT"
            exit 0
        fi
        kill -0 "$(cat "$SERVICE_FOLDER/pid")" 2>/dev/null || break
    done
    tries=$((tries + 1))
    [ "$tries" -lt 3 ] || break
done
tail -n 3 "$SERVICE_FOLDER/log" >&2
echo "$MREG_REFERENCE did not start" >&2
exit 1
