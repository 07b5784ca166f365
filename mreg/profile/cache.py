"""The value of ``cache`` in a profile: how large, or where."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mreg.errors import BadProfile, Unavailable
from mreg.profile.load import user_folder
from mreg.profile.place import SIZE, location

DEFAULT_BYTES = 20 * 10**9
UNITS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
BYTES = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?([kMGT]i?|[KMGT]i)B")


def byte_size(value: str) -> int | None:
    """The bytes that a size such as ``20GB`` or ``1.5 GiB`` says; None where it is none."""
    match = BYTES.fullmatch(value)
    return int(float(match[1]) * UNITS[match[2]]) if match else None


def cache_place(value: str) -> tuple[Path, int]:
    """The folder of the cache and how many bytes it may hold.

    Args:
        value: A size such as ``20GB``, for a cache in the user's cache folder; or a folder, for one of 20 GB there.

    Raises:
        BadProfile: It is neither.
    """
    size = byte_size(value)
    if size is not None:
        return Path(user_folder("cache", os.environ)), size
    if SIZE.match(value):
        raise BadProfile(f"{value} is no size of a cache", hint="write 20GB or 500MB, or a folder: ./20")
    return Path(location("cache", value, None)), DEFAULT_BYTES


def catalogs_folder() -> str:
    """Where copies of catalogs in buckets are kept."""
    return os.path.join(user_folder("cache", os.environ), "catalogs")


def stores_folder() -> str:
    """Where it is remembered what object stores do; empty where there is no such folder."""
    try:
        return os.path.join(user_folder("cache", os.environ), "stores")
    except Unavailable:
        return ""
