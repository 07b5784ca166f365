#!/bin/sh
# Runs the suite on another Python, in a chroot of the Debian release that has it:
#   sh tests/in_python.sh 3.14 [arguments of tests/run.sh]
# Needs root, debootstrap and a Debian machine, whose mirror, certificates and pip settings are used. The chroot is made
# once, in $MREG_CHROOTS (default: /var/tmp/mreg-chroots); delete its folder to make it anew. Each run gets a copy of
# the working tree. Mounts are made in a mount namespace of their own, which ends with the run.
set -eu
cd "$(dirname "$0")/.."

version=${1:?"usage: sh tests/in_python.sh 3.13|3.14 [arguments of tests/run.sh]"}
shift
case $version in
    3.11) suite=bookworm ;;
    3.13) suite=trixie ;;
    3.14) suite=sid ;;
    *) echo "no Debian release is known to have Python $version" >&2; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "cannot make a chroot: root is needed" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "cannot make a chroot: apt-get install debootstrap" >&2; exit 2; }

root=${MREG_CHROOTS:-/var/tmp/mreg-chroots}/$version
certificates=/etc/ssl/certs/ca-certificates.crt
if [ ! -e "$root/made" ]; then
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
    [ -n "$mirror" ] || { echo "apt names no mirror of Debian" >&2; exit 2; }
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase --include=ca-certificates,curl,git,procps,python3,python3-venv "$suite" "$root" "$mirror"
    touch "$root/made"
fi
found=$(chroot "$root" python3 -c 'import sys; print(*sys.version_info[:2], sep=".")')
[ "$found" = "$version" ] || { echo "$suite has Python $found, not $version" >&2; exit 2; }

# What the machine knows about its network. apt in the chroot has the mirror from debootstrap.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
[ ! -e "$certificates" ] || cp "$certificates" "$root$certificates"
for file in /etc/pip.conf /etc/xdg/pip; do
    [ ! -e "$file" ] || { mkdir -p "$root$(dirname "$file")" && cp -R "$file" "$root$(dirname "$file")"; }
done
apt-config dump | grep -E '^Acquire::(Check|http|Retries)' >"$root/etc/apt/apt.conf.d/99mreg"

# The files of the working tree alone; the environment in it stays for the next run.
mkdir -p "$root/src"
find "$root/src" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- --ignore-failed-read |
    tar --extract --directory="$root/src"

# A whole run leaves 15 GB of temporary files.
find "$root/tmp" -mindepth 1 -delete
status=0
export MREG_IN_CHROOT="$root"
# shellcheck disable=SC2016
unshare --mount sh -c '
    mount --bind /proc "$MREG_IN_CHROOT/proc"
    mount --rbind /sys "$MREG_IN_CHROOT/sys"
    mount --rbind /dev "$MREG_IN_CHROOT/dev"
    root=$MREG_IN_CHROOT
    unset MREG_IN_CHROOT
    exec env --unset=TMPDIR HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$root" sh /src/tests/run.sh "$@"
' sh "$@" || status=$?
find "$root/tmp" -mindepth 1 -delete
exit "$status"
