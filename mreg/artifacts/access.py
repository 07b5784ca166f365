"""Missing permissions in an artifact folder."""

from __future__ import annotations

import contextlib
import os

from mreg.errors import Unavailable
from mreg.sharing import may, why_not

FOLDERS = ("", "tmp", "blobs", "blobs/sha256")


def check_access(root: str, key: str, right: int) -> None:
    """Check the permissions of the folders and blobs of a store.

    Args:
        key: Key of the blob that was read or written; empty for any.
        right: ``os.R_OK`` or ``os.W_OK``.

    Raises:
        Unavailable: This user lacks a permission; the message names the first such path and its owner.
    """
    places = [os.path.dirname(root), *(os.path.join(root, one) if one else root for one in FOLDERS)]
    if key:
        prefix = os.path.join(root, os.path.dirname(key))
        places += [prefix, os.path.join(root, key)] if right == os.R_OK else [prefix]
    elif right == os.W_OK:
        blobs = os.path.join(root, "blobs/sha256")
        with contextlib.suppress(OSError):
            places += [os.path.join(blobs, one) for one in sorted(os.listdir(blobs))]
    for place in places:
        if not os.path.exists(place) or (place == places[0] and os.path.exists(root)):
            continue
        if not may(place, right):
            why, remedy = why_not(place, right)
            shown = os.path.relpath(place, os.path.dirname(root)) if place != places[0] else place
            verb = "write" if right == os.W_OK else "read"
            raise Unavailable(f"cannot {verb} {shown}: it {why}", hint=remedy)
