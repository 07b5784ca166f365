"""The files of folders that were requested lately."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.errors import NotFound
from mreg.registry.streaming import missing_file

if TYPE_CHECKING:
    from mreg.domain.digest import Digest
    from mreg.registry.local import LocalRegistry
    from mreg.results.files import StoredFile

FILES_LIMIT = 100_000
"""Maximum number of files that are kept, of all folders; each takes about 700 bytes."""


class Listing:
    """The files of a version, by their paths in the order of its manifest, and by their digests."""

    def __init__(self, files: Iterable[StoredFile]) -> None:
        self.files: Mapping[str, StoredFile] = {file.path: file for file in files}

    @cached_property
    def blobs(self) -> Mapping[Digest, StoredFile]:
        """One file for each digest."""
        return {file.digest: file for file in self.files.values()}


class Listings:
    """Keeps the files of versions, which never change: a client requests the files of a folder one by one.

    Reading the manifest of 3,000 files takes 0.1 s, and would be repeated for each of them.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Listing] = {}
        self._count = 0
        self._lock = threading.Lock()

    def listing(self, registry: LocalRegistry, version: ModelVersion) -> Listing:
        """Return the files of a version.

        Raises:
            Corrupt: The manifest is missing or damaged.
        """
        key = (str(version.reference), version.artifact.digest.value)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept[key] = self._kept.pop(key)  # the last one used is dropped last
                return kept
        listing = Listing(registry.files_of(version))
        if version.artifact.kind is ArtifactKind.FOLDER and len(listing.files) <= FILES_LIMIT:
            with self._lock:
                self._keep(key, listing)
        return listing

    def files(self, registry: LocalRegistry, version: ModelVersion) -> Mapping[str, StoredFile]:
        """Return the files of a version by their paths, in the order of its manifest.

        Raises:
            Corrupt: The manifest is missing or damaged.
        """
        return self.listing(registry, version).files

    def file(self, registry: LocalRegistry, version: ModelVersion, path: str) -> StoredFile:
        """Return a file of a version.

        Raises:
            NotFound: The version has no such file.
            Corrupt: The manifest is missing or damaged.
        """
        found = self.files(registry, version).get(path)
        if found is None:
            raise missing_file(version, path)
        return found

    def blob(self, registry: LocalRegistry, version: ModelVersion, digest: Digest) -> StoredFile:
        """Return a file of a version by its digest, or the manifest of a folder.

        Raises:
            NotFound: The version has no such blob.
            Corrupt: The manifest is missing or damaged.
        """
        if version.artifact.kind is ArtifactKind.FOLDER and digest == version.artifact.digest:
            return registry.manifest_file(version)
        found = self.listing(registry, version).blobs.get(digest)
        if found is None:
            raise NotFound(f"{version.reference} has no blob {digest}", kind="blob", digest=str(digest))
        return found

    def _keep(self, key: tuple[str, str], listing: Listing) -> None:
        if key in self._kept:
            return
        self._kept[key] = listing
        self._count += len(listing.files)
        while self._count > FILES_LIMIT:
            self._count -= len(self._kept.pop(next(iter(self._kept))).files)
