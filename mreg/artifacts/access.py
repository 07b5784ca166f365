"""Missing permissions in an artifact folder."""

from __future__ import annotations

import contextlib
import os

from mreg.domain.text import shell_word
from mreg.errors import Unavailable
from mreg.folders import refuse_missing_parent
from mreg.sharing import explain_denial, has_access

FOLDERS = ("", "tmp", "blobs", "blobs/sha256")


def check_access(root: str, key: str, right: int) -> None:
    """Check the permissions of the folders and blobs of a store.

    Args:
        key: Key of the blob that was read or written; empty for any.
        right: ``os.R_OK`` or ``os.W_OK``.

    Raises:
        Unavailable: This user lacks a permission; the message names the first such path and its owner.
    """
    paths = [os.path.dirname(root), *(os.path.join(root, folder) if folder else root for folder in FOLDERS)]
    if key:
        prefix = os.path.join(root, os.path.dirname(key))
        paths += [prefix, os.path.join(root, key)] if right == os.R_OK else [prefix]
    elif right == os.W_OK:
        blobs = os.path.join(root, "blobs/sha256")
        with contextlib.suppress(OSError):
            paths += [os.path.join(blobs, name) for name in sorted(os.listdir(blobs))]
    for path in paths:
        if not os.path.exists(path) or (path == paths[0] and os.path.exists(root)):
            continue
        if not has_access(path, right):
            why, remedy = explain_denial(path, right)
            shown = os.path.relpath(path, os.path.dirname(root)) if path != paths[0] else path
            verb = "write" if right == os.W_OK else "read"
            raise Unavailable(f"cannot {verb} {shown}: it {why}", hint=remedy)


def check_parent(root: str) -> None:
    """Raise `Unavailable` if the folder does not exist in which a store would be created."""
    refuse_missing_parent(f"cannot create the artifact store {root}", root)


def missing_folder(path: str) -> Unavailable:
    """Return the error for a store whose folder is missing although there are versions with bytes in it."""
    return Unavailable(
        f"cannot use the artifact store {path}: the folder does not exist, but the catalog has versions",
        hint="check the path, and that its drive is mounted; to start with an empty folder: "
        f"mkdir -p {shell_word(path)}",
    )
