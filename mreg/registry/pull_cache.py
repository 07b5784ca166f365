"""The pull cache and the records of pulled folders on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mreg.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mreg.artifacts.cache import BlobCache
    from mreg.artifacts.cached_artifacts import CachedArtifacts
    from mreg.artifacts.records import PullRecords
    from mreg.results.profiles import Profile


def blob_cache(profile: Profile) -> BlobCache:
    """Return the pull cache: that of the profile, or the one in the user's cache folder.

    Raises:
        Unavailable: No home folder is found, and the profile names no folder.
    """
    from mreg.artifacts.cache import BlobCache
    from mreg.profile.cache import DEFAULT, byte_size, cache_place

    setting = profile.cache or DEFAULT
    folder, limit = cache_place(setting)
    return BlobCache(folder, limit, private=byte_size(setting) is not None)


def cache_for_pulls(profile: Profile, notice: Callable[[str], None]) -> BlobCache | None:
    """Return the cache that pulls over a network use; None if the profile has none."""
    if not profile.cache:
        return None
    try:
        return blob_cache(profile)
    except Unavailable:
        notice("the pull cache is not used: the home folder is missing; name a folder for it: MREG_CACHE=FOLDER")
        return None


def cached_artifacts(profile: Profile) -> CachedArtifacts:
    """Return the complete artifacts in the pull cache.

    Raises:
        Unavailable: No home folder is found, and the profile names no folder.
    """
    from mreg.artifacts.cached_artifacts import CachedArtifacts

    try:
        return CachedArtifacts(blob_cache(profile))
    except Unavailable as error:
        raise Unavailable(
            "cannot use the pull cache: the home folder is missing", hint="name a folder: export MREG_CACHE=FOLDER"
        ) from error


def pull_records() -> PullRecords | None:
    """Return the user's records of pulled folders, None without a home folder."""
    from mreg.artifacts.records import PullRecords
    from mreg.profile.load import user_folder

    try:
        return PullRecords(os.path.join(user_folder("data", os.environ), "pulls"))
    except Unavailable:
        return None
