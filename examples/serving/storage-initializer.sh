#!/bin/sh
# A storage initializer for KServe: it downloads versions of mreg, verified, before the model server starts.
#
#     storage-initializer.sh SRC_URI DEST_PATH [SRC_URI DEST_PATH]...
#
# SRC_URI is mreg://MODEL@VERSION, such as mreg://churn@production, or mreg://MODEL@VERSION/FILE for one file of a
# folder. A folder is written to DEST_PATH itself, a file into DEST_PATH under its own name. A restarted container
# keeps files that are there already. Variables name the registry: MREG_CATALOG and MREG_ARTIFACTS, or MREG_SERVER and
# MREG_TOKEN.
set -eu

fail() {
    echo "storage-initializer: $1" >&2
    exit 2
}

[ $# -gt 0 ] && [ $(($# % 2)) -eq 0 ] || fail "expected SRC_URI DEST_PATH, got $# arguments"
while [ $# -gt 0 ]; do
    uri=$1
    destination=${2%/}/
    shift 2
    case $uri in
        mreg://?*@?*) ;;
        *) fail "expected mreg://MODEL@VERSION, got $uri" ;;
    esac
    rest=${uri#mreg://}
    after=${rest#*@}
    version=${after%%/*}
    file=${after#"$version"}
    if [ -n "${file#/}" ]; then
        mreg pull --force --include "$file" -- "${rest%%@*}@$version" "$destination"
    else
        mreg pull --force -- "${rest%%@*}@$version" "$destination"
    fi
done
