"""Resumption of an interrupted pull of a folder; nothing in the partial folder is trusted."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from mreg.artifacts.hashing import CHUNK_BYTES, hashed, stream_chunks
from mreg.artifacts.partial import is_plain
from mreg.artifacts.records import folders_of
from mreg.artifacts.tree import Tree
from mreg.domain.manifest import Manifest, ManifestEntry
from mreg.files import close, open_folder


def make_folder(path: str) -> int:
    """Create or open a folder and return its descriptor; -1 if the system does not open folders.

    Raises:
        OSError: The path is not a folder, or a part of its content cannot be read.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
    descriptor = open_folder(path, follow=False)
    try:
        with Tree(path, descriptor) as tree:
            for _ in tree.walk():  # a folder that cannot be read completely is not resumed
                pass
    except BaseException:
        close(descriptor)
        raise
    return descriptor


def missing_entries(tree: Tree, manifest: Manifest, found: Callable[[int], None]) -> list[ManifestEntry]:
    """Return the entries that an interrupted pull did not complete; remove all other content from the folder.

    Only files that are plain (see `is_plain`) with the right bytes and mode are kept.

    Args:
        found: Called with the size of each file that is kept.
    """
    there = dict(tree.walk())
    if not there:
        return list(manifest.entries)
    missing = []
    for entry in manifest.entries:
        status = there.get(entry.path)
        if status is not None and _is_same(tree, entry, status):
            del there[entry.path]
            found(entry.size)
        else:
            missing.append(entry)
    needed = folders_of(manifest)
    for name, status in sorted(there.items(), reverse=True):  # the content of a folder before the folder
        if not stat.S_ISDIR(status.st_mode):
            tree.unlink(name)
        elif name not in needed:
            tree.rmdir(name)
    return missing


def _is_same(tree: Tree, entry: ManifestEntry, info: os.stat_result) -> bool:
    executable = bool(info.st_mode & stat.S_IXUSR)
    if not is_plain(info) or info.st_size != entry.size or executable != entry.executable:
        return False
    with os.fdopen(tree.open(entry.path), "rb", buffering=0) as stream:
        return hashed(stream_chunks(stream, CHUNK_BYTES)) == entry.digest
