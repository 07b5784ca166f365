"""The ``cache`` setting of a profile: a size or a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mreg.errors import BadProfile, Unavailable
from mreg.profile.load import user_folder
from mreg.profile.place import SIZE, location

DEFAULT = "20GB"
DEFAULT_BYTES = 20 * 10**9
UNITS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
BYTES = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?([kMGT]i?|[KMGT]i)B")


def byte_size(value: str) -> int | None:
    """Return the bytes of a size such as ``20GB`` or ``1.5 GiB``, None if the text is not a size."""
    match = BYTES.fullmatch(value)
    return int(float(match[1]) * UNITS[match[2]]) if match else None


def cache_place(value: str) -> tuple[Path, int]:
    """Return the folder of the cache and its maximum size in bytes.

    Args:
        value: A size such as ``20GB``, for a cache in the user's cache folder; or a folder, for a cache of 20 GB in it.

    Raises:
        BadProfile: The value is neither a size nor a folder.
        Unavailable: The value is a size, and no home folder is found.
    """
    size = byte_size(value)
    if size is not None:
        return Path(user_folder("cache", os.environ)), size
    if SIZE.match(value):
        raise BadProfile(f"invalid cache size {value}", hint="write 20GB or 500MB, or a folder: ./20")
    return Path(location("cache", value, None)), DEFAULT_BYTES


def catalogs_folder() -> str:
    """Return the folder for local copies of catalogs in buckets, empty if no home folder is found."""
    try:
        return os.path.join(user_folder("cache", os.environ), "catalogs")
    except Unavailable:
        return ""


def uploads_folder() -> str:
    """Return the folder for unfinished uploads to a server with a bucket, empty if no home folder is found."""
    try:
        return os.path.join(user_folder("cache", os.environ), "uploads")
    except Unavailable:
        return ""


def stores_folder() -> str:
    """Return the folder for remembered probe results of object stores, empty if no home folder is found."""
    try:
        return os.path.join(user_folder("cache", os.environ), "stores")
    except Unavailable:
        return ""
