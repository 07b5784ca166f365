"""Detection of network file systems, on which a write-ahead log is unsafe."""

from __future__ import annotations

import os

NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "auristorfs", "ceph", "lustre", "beegfs", "gpfs", "gfs",
    "gfs2", "ocfs2", "glusterfs", "pvfs2", "orangefs", "vboxsf", "virtiofs", "ncpfs", "coda", "acfs", "webdav",
}  # fmt: skip
"""Types of file systems that several machines can use at once, or that lack shared memory between processes.

A write-ahead log needs memory that all processes share: https://sqlite.org/wal.html ("over a network filesystem")
"""

LOCAL_FUSE = {"fuseblk", "fuse.ntfs-3g", "fuse.fuse-overlayfs", "fuse.lxcfs"}
MOUNTS = "/proc/self/mountinfo"


def network_type(path: str) -> str:
    """Return the type of the network file system of a file or folder, such as ``nfs4``; empty if it is local.

    The type comes from the kernel's mount table, since statfs has the same number for all FUSE file systems. Without
    such a table, all file systems count as local.
    """
    try:
        device = os.stat(path).st_dev
        with open(MOUNTS, encoding="utf-8", errors="replace") as mounts:
            kind = type_of_device(mounts.read(), os.major(device), os.minor(device))
    except (OSError, AttributeError):
        return ""
    if kind in NETWORK or (kind.startswith("fuse") and kind not in LOCAL_FUSE):
        return kind
    return ""


def type_of_device(mounts: str, major: int, minor: int) -> str:
    """Return the type of the file system of a device; empty if the table lacks it.

    Args:
        mounts: Lines of proc_pid_mountinfo(5): number, parent, major:minor, root, mount point, options, optional
            fields, a hyphen, type, source, options.
    """
    wanted = f"{major}:{minor}"
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) > 6 and fields[2] == wanted and "-" in fields[6:]:
            return fields[fields.index("-", 6) + 1]
    return ""
