"""Merging a folder artifact into a folder with other files; only files of the same name or of earlier pulls change.

The artifact's files are staged in another folder on the same file system. Each is then linked or renamed to its name:
after a crash every name has its old or its new file. Files that are replaced or removed are first moved to the staging
folder, and moved back if a later step fails.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mreg.artifacts.hashing import CHUNK_BYTES, hashed, stream_chunks
from mreg.artifacts.local import run_cleanup
from mreg.artifacts.records import PullRecord, folders_of
from mreg.artifacts.tree import Tree
from mreg.domain.manifest import Manifest
from mreg.domain.text import quoted
from mreg.errors import AlreadyExists, Conflict, Unavailable
from mreg.files import lacks_links

LISTED = 5
"""Maximum number of names that a message lists."""

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFREG: "a file",
}


def kind_of(mode: int) -> str:
    """Return the name of a file type (`stat.S_IFMT`) for messages."""
    return KINDS.get(mode, "a device")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The changes that a merge makes in a folder.

    Attributes:
        conflicts: Reasons why the merge is not possible, one text for each file.
        removed: Files of earlier pulls that the artifact does not have.
        replaced: Files of the same name.
        others: Other paths that remain, folders with a trailing slash; at most `LISTED` + 1.
        seen: The content of the folder, if `others` is empty.
    """

    conflicts: tuple[str, ...]
    removed: Mapping[str, os.stat_result]
    replaced: Mapping[str, os.stat_result]
    others: tuple[str, ...]
    seen: Mapping[str, os.stat_result]

    def refuse_conflicts(self, path: str) -> None:
        """Refuse the merge if there are conflicts.

        Raises:
            AlreadyExists: There are conflicts; the message lists the first.
        """
        if self.conflicts:
            raise AlreadyExists(
                f"cannot replace files in {quoted(path)}: {listed(self.conflicts)}",
                hint="move them away, or name another destination",
            )


def listed(texts: Sequence[str]) -> str:
    """Return a text with the first items and the number of the others."""
    more = f"; and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
    return "; ".join(texts[:LISTED]) + more


def make_plan(tree: Tree, manifest: Manifest, record: PullRecord) -> Plan:
    """Return the plan for a merge into a folder, without changing it.

    Args:
        record: The files and folders of earlier pulls.

    Raises:
        OSError: A file that the merge changes cannot be read.
    """
    wanted, folders = {entry.path for entry in manifest.entries}, folders_of(manifest)
    conflicts: list[str] = []
    removed: dict[str, os.stat_result] = {}
    for path, digests in record.files.items():
        found = tree.find(path) if path not in wanted else None
        if found is None:
            continue
        if stat.S_ISREG(found.st_mode) and digest_in(tree, path) in digests:
            removed[path] = found
        else:
            conflicts.append(f"{quoted(path)} was changed since it was pulled")
    replaced: dict[str, os.stat_result] = {}
    device = tree.identity.st_dev
    for path in sorted(folders | wanted):
        found = tree.find(path)
        if found is None or path in removed:
            continue
        kind = stat.S_IFMT(found.st_mode)
        if path in folders:
            if kind != stat.S_IFDIR:
                conflicts.append(f"{quoted(path)}: expected a folder, got {kind_of(kind)}")
            elif found.st_dev != device:
                conflicts.append(f"{quoted(path)} is on another file system")
        elif kind == stat.S_IFREG:
            replaced[path] = found
        elif kind != stat.S_IFDIR or not _becomes_empty(tree, path, removed, record):
            conflicts.append(f"{quoted(path)}: expected a file, got {kind_of(kind)}")
    others, seen = _others(tree, wanted | removed.keys(), folders | record.folders)
    return Plan(
        conflicts=tuple(conflicts),
        removed=removed,
        replaced=replaced,
        others=tuple(others),
        seen={} if others else seen,
    )


def digest_in(tree: Tree, path: str) -> str:
    """Return the SHA-256 of a file in hex digits."""
    with os.fdopen(tree.open(path), "rb", buffering=0) as stream:
        return hashed(stream_chunks(stream, CHUNK_BYTES)).value


def _becomes_empty(tree: Tree, folder: str, removed: Mapping[str, os.stat_result], record: PullRecord) -> bool:
    """Return whether a folder of an earlier pull is empty, and is removed, once its pulled files are removed."""
    return folder in record.folders and all(
        path in record.folders if stat.S_ISDIR(found.st_mode) else path in removed for path, found in tree.walk(folder)
    )


def _others(tree: Tree, files: set[str], folders: frozenset[str]) -> tuple[list[str], dict[str, os.stat_result]]:
    seen: dict[str, os.stat_result] = {}
    others: list[str] = []
    try:
        for path, found in tree.walk():
            seen[path] = found
            is_folder = stat.S_ISDIR(found.st_mode)
            if path not in (folders if is_folder else files):
                others.append(f"{path}/" if is_folder else path)
                if len(others) > LISTED:
                    break
    except OSError as error:  # unreadable content remains
        others.append(os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "unreadable folders")
    return others, seen


def is_unchanged(info: os.stat_result | None, seen: os.stat_result) -> bool:
    """Return whether a file or folder is still the one of an earlier status and was not written since."""
    if info is None or not os.path.samestat(info, seen) or info.st_mode != seen.st_mode:
        return False
    if stat.S_ISDIR(seen.st_mode):
        return True
    return (info.st_size, info.st_mtime_ns) == (seen.st_size, seen.st_mtime_ns)


def holds_only(tree: Tree, seen: Mapping[str, os.stat_result]) -> bool:
    """Return whether the content of a folder is unchanged since an earlier look."""
    there = dict(tree.walk())
    return there.keys() == seen.keys() and all(is_unchanged(found, seen[path]) for path, found in there.items())


class Merge:
    """Moves staged files into a folder.

    Args:
        staged: The staging folder, with every file of the artifact flushed to disk.
        target: The folder; the caller holds its lock since before the plan was made.
        path: Path of the folder.
        source: Path of the staging folder.
    """

    def __init__(self, staged: Tree, target: Tree, *, path: str, source: str) -> None:
        self._staged, self._target = staged, target
        self._path, self._source = path, source
        self._aside = f"{os.urandom(12).hex()}.aside"
        self._count = 0
        self._undo: list[Callable[[], None]] = []
        self._stuck: OSError | None = None

    def run(self, plan: Plan, manifest: Manifest, record: PullRecord) -> frozenset[str]:
        """Apply the plan, or roll back; return the folders that were created.

        Raises:
            Conflict: A file or folder was changed since the plan was made.
            OSError: A step failed.
            Unavailable: A step failed and the rollback failed; the hint says where the replaced files are.
        """
        try:
            return self._run(plan, manifest, record)
        except BaseException as error:
            run_cleanup(self._roll_back)
            if self._stuck is not None:
                raise self._kept_aside(self._stuck) from error
            raise

    def _run(self, plan: Plan, manifest: Manifest, record: PullRecord) -> frozenset[str]:
        self._staged.mkdir(self._aside)
        for path, seen in plan.removed.items():
            self._check(path, seen)
            aside = self._next_aside()
            self._undo.append(lambda path=path, aside=aside: self._back(aside, path))  # type: ignore[misc]
            self._target.move(path, self._staged, aside)
        folders = folders_of(manifest)
        for folder in sorted(record.folders - folders, reverse=True):
            self._remove_folder(folder)
        made = set()
        for folder in sorted(folders):
            if self._target.find(folder) is None:
                self._target.mkdir(folder)
                self._undo.append(lambda folder=folder: self._target.rmdir(folder))  # type: ignore[misc]
                made.add(folder)
        for entry in manifest.entries:
            self._put(entry.path, plan.replaced.get(entry.path))
        return frozenset(made)

    def _next_aside(self) -> str:
        self._count += 1
        return f"{self._aside}/{self._count}"

    def _check(self, path: str, seen: os.stat_result | None) -> None:
        if seen is None or not is_unchanged(self._target.find(path), seen):
            raise self._changed(path)

    def _changed(self, path: str) -> Conflict:
        return Conflict(
            f"cannot replace files in {quoted(self._path)}: {quoted(path)} was changed during the pull",
            hint="repeat the command",
        )

    def _remove_folder(self, folder: str) -> None:
        found = self._target.find(folder)
        if found is None or not stat.S_ISDIR(found.st_mode):
            return
        try:
            self._target.rmdir(folder)
        except OSError:  # not empty
            return
        self._undo.append(lambda: self._target.mkdir(folder, stat.S_IMODE(found.st_mode)))

    def _put(self, path: str, seen: os.stat_result | None) -> None:
        if self._target.find(path) is None:
            try:
                self._staged.link(path, self._target, path)
            except FileExistsError:
                raise self._changed(path) from None
            except OSError as error:
                if not lacks_links(error):
                    raise
                self._put_by_renaming(path)
                return
            self._undo.append(lambda: self._target.unlink(path))
            return
        self._check(path, seen)
        aside = self._next_aside()
        self._undo.append(lambda: self._back(aside, path))
        try:
            self._target.link(path, self._staged, aside)
        except OSError as error:
            if not lacks_links(error):
                raise
            self._target.move(path, self._staged, aside)
        self._staged.move(path, self._target, path)

    def _put_by_renaming(self, path: str) -> None:
        try:
            self._staged.move_new(path, self._target, path)
        except FileExistsError:
            raise self._changed(path) from None
        self._undo.append(lambda: self._target.move(path, self._staged, path))

    def _back(self, aside: str, path: str) -> None:
        if self._staged.find(aside) is not None:  # otherwise the step had not started
            self._staged.move(aside, self._target, path)

    def _roll_back(self) -> None:
        while self._undo:
            try:
                self._undo[-1]()
            except FileNotFoundError:
                pass  # the step had not started, or was undone before an interrupt
            except OSError as error:
                self._stuck = error
            self._undo.pop()

    def _kept_aside(self, cause: OSError) -> Unavailable:
        """Return the error for files that could not be moved back; rename them so that no later pull removes them."""
        kept = os.path.join(self._source, self._aside)
        saved = f"{self._path}.replaced-{os.urandom(4).hex()}"
        with contextlib.suppress(OSError):
            os.rename(kept, saved)
            kept = saved
        return Unavailable(
            f"{quoted(self._path)} cannot be restored: {cause.strerror or cause}",
            hint=f"the files that were replaced are in {quoted(kept, 4096)}",
        )
