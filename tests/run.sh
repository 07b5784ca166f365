#!/bin/sh
# Everything the tests need is installed here, then all of them are run:
#   sh tests/run.sh [--python 3.13|3.14] [--full] [pytest arguments]
# --python runs them in a chroot that has this Python, see tests/in_python.sh.
# --full runs the long fault campaigns whole, and on the disk; without it a seeded share of each runs, with its files in
# memory if there is enough: most of the time of many tests is the disk's, for bytes that nobody keeps. MREG_TEST_SEED=N
# gives the campaigns of tests/faults other cases.
set -eu
cd "$(dirname "$0")/.."

if [ "${1:-}" = "--python" ]; then
    shift
    exec sh tests/in_python.sh "$@"
fi

. examples/venv.sh
sh tests/install.sh test

# Completions are tested in the shells, manual pages with groff, downloads with wget, the guides with curl, openssl,
# nginx and Caddy, the page in a browser, object stores on Ceph's radosgw, s3rver and Azurite, and catalogs on Redis, too. If a
# program cannot be installed, its tests are skipped, except in CI, where a skip fails.
missing=""
for tool in bash zsh fish wget curl openssl groff; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
command -v chromium >/dev/null 2>&1 && command -v chromedriver >/dev/null 2>&1 || missing="$missing chromium chromium-driver"
command -v radosgw >/dev/null 2>&1 && command -v ceph-mon >/dev/null 2>&1 && command -v ceph-osd >/dev/null 2>&1 ||
    missing="$missing ceph-mon ceph-osd radosgw ceph-common"
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
command -v npm >/dev/null 2>&1 || missing="$missing nodejs npm"
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v caddy >/dev/null 2>&1 || missing="$missing caddy"
if [ -n "$missing" ] && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing$missing"
    # shellcheck disable=SC2086
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing; } \
        >/dev/null || echo "could not install$missing" >&2
fi

for package in s3rver@3.7.1 azurite@3.35.0; do
    name=${package%@*}
    if [ ! -d ".venv/$name/node_modules/$name" ] && command -v npm >/dev/null 2>&1; then
        npm install --silent --no-audit --no-fund --prefix ".venv/$name" "$package" >/dev/null ||
            echo "could not install $name" >&2
    fi
done

if [ "${1:-}" = "--full" ]; then
    shift
    MREG_TEST_FULL=1
    export MREG_TEST_FULL
fi

# Files of the tests: in memory if it has room for all of them, several GiB, and lets scripts run there.
memory=""
if [ -z "${MREG_TEST_FULL:-}${TMPDIR:-}" ] && [ -w /dev/shm ] &&
    [ "$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')" -gt 8000000 ] &&
    [ "$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)" -gt 12000000 ]; then
    memory=$(mktemp -d /dev/shm/mreg-XXXXXX)
    trap 'rm -rf "$memory"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\n' >"$memory/try"
    chmod 755 "$memory" "$memory/try"
    # With --basetemp, paths are no longer than below /tmp: messages shorten long ones.
    ! "$memory/try" 2>/dev/null || { export TMPDIR="$memory" && set -- --basetemp "$memory/t" "$@"; }
fi

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/python -m pytest -n "${MREG_TEST_WORKERS:-auto}" --dist worksteal -q "$@"
