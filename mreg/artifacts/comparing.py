"""Comparison of a copy on the disk with the artifact that it is a copy of; nothing is changed and no link followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mreg.artifacts.hashing import hashed, stream_chunks
from mreg.artifacts.records import folders_of
from mreg.artifacts.replacing import kind_of
from mreg.artifacts.tree import Tree
from mreg.domain.digest import Digest
from mreg.domain.manifest import Manifest, folded_names
from mreg.files import WINDOWS, close, opened_folder


@dataclass(frozen=True, slots=True)
class Difference:
    """A file of a copy that differs; the path of an empty folder ends in ``/``.

    Attributes:
        state: ``missing``, ``changed``, ``extra`` or ``unreadable``.
        reason: Details, such as ``expected 5 bytes, got 6``; empty if the state says everything.
    """

    path: str
    state: str
    reason: str = ""


def compare_folder(
    root: str,
    manifest: Manifest,
    *,
    selects: Callable[[str], bool] = lambda _path: True,
    advance: Callable[[int], None] = lambda _count: None,
) -> list[Difference]:
    """Return the differences of a folder from a manifest, sorted by path; every file is hashed.

    Args:
        selects: Whether a file that the manifest does not have counts as extra; the path of a folder ends in ``/``.
        advance: Called with the number of bytes read since the last call.

    Raises:
        OSError: The folder is missing, is not a folder or is a link.
    """
    found: list[Difference] = []
    with opened_folder(root, follow=False) as descriptor, Tree(root, descriptor) as tree:
        for entry in manifest.entries:
            difference = _compare(tree, entry.path, entry.digest, entry.size, entry.executable, advance)
            if difference is not None:
                found.append(difference)
        for folder in manifest.folders:
            info = tree.find(folder)
            if info is None:
                found.append(Difference(f"{folder}/", "missing"))
            elif not stat.S_ISDIR(info.st_mode):
                reason = f"expected a folder, got {kind_of(stat.S_IFMT(info.st_mode))}"
                found.append(Difference(f"{folder}/", "changed", reason))
        found += _extra(tree, manifest, selects)
    return sorted(found, key=lambda difference: difference.path)


def compare_file(
    path: str, digest: Digest, size: int, advance: Callable[[int], None] = lambda _count: None
) -> Difference | None:
    """Return the difference of a file from a blob, None if it has the same bytes.

    Raises:
        OSError: The folder of the file cannot be opened.
    """
    folder, name = os.path.split(os.path.abspath(path))
    with opened_folder(folder) as descriptor, Tree(folder, descriptor) as tree:
        return _compare(tree, name, digest, size, None, advance)


def _compare(
    tree: Tree, path: str, digest: Digest, size: int, executable: bool | None, advance: Callable[[int], None]
) -> Difference | None:
    info = tree.find(path)
    if info is None:
        return Difference(path, "missing")
    if not stat.S_ISREG(info.st_mode):
        return Difference(path, "changed", f"expected a file, got {kind_of(stat.S_IFMT(info.st_mode))}")
    if info.st_size != size:
        return Difference(path, "changed", f"expected {size:,} bytes, got {info.st_size:,}")
    try:
        found = _digest(tree, path, advance)
    except OSError as error:
        return Difference(path, "unreadable", error.strerror or str(error))
    if found != digest:
        return Difference(path, "changed", "its SHA-256 differs")
    can_run = bool(info.st_mode & stat.S_IXUSR)
    if executable is not None and not WINDOWS and can_run != executable:
        return Difference(path, "changed", f"it is {'' if can_run else 'not '}executable")
    return None


def _digest(tree: Tree, path: str, advance: Callable[[int], None]) -> Digest:
    """Return the digest of a regular file, which can be replaced at the same time: nothing else is read."""
    descriptor = tree.open(path)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        with os.fdopen(os.dup(descriptor), "rb", buffering=0) as stream:
            return hashed(_counted(stream_chunks(stream), advance))
    finally:
        close(descriptor)


def _counted(chunks: Iterator[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    for chunk in chunks:
        advance(len(chunk))
        yield chunk


def _extra(tree: Tree, manifest: Manifest, selects: Callable[[str], bool]) -> list[Difference]:
    """Return the files that the manifest does not have, and the empty folders."""
    # A file system can store a name in another Unicode form or case and still find it by the entry's path.
    files = set(folded_names(entry.path for entry in manifest.entries))
    folders = set(folded_names(folders_of(manifest)))
    found: list[Difference] = []
    filled: set[str] = set()
    empty: list[str] = []
    for path, info in tree.walk():
        filled.add(path.rpartition("/")[0])
        (folded,) = folded_names((path,))
        if stat.S_ISDIR(info.st_mode):
            if folded not in folders:
                empty.append(path)
        elif folded not in files and selects(path):
            found.append(Difference(path, "extra"))
    found += [Difference(f"{path}/", "extra") for path in empty if path not in filled and selects(f"{path}/")]
    return found
