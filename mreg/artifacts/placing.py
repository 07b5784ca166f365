"""Installation of a pulled folder at its destination: by one rename, or file by file if other files are there."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from mreg.artifacts.partial import remove
from mreg.artifacts.records import PullRecord, PullRecords, folders_of, record_of
from mreg.artifacts.replacing import Merge, Plan, holds_only, kind_of, listed, make_plan
from mreg.artifacts.tree import Tree
from mreg.domain.manifest import Manifest
from mreg.domain.text import quoted
from mreg.durability import sync_all
from mreg.errors import AlreadyExists, BadInput, Conflict
from mreg.files import opened_folder
from mreg.linux import RENAME_EXCHANGE, rename2


class FolderPlace:
    """The destination of a pulled folder.

    Args:
        path: Absolute path.
        prefix: Prefix for the names of temporary files next to it.
        records: Records of folders that earlier pulls created; with None, every file in a folder counts as the user's.
        protected: Returns an error if the files in the folder at the path must not be replaced.
    """

    def __init__(
        self, path: str, prefix: str, records: PullRecords | None, protected: Callable[[], BadInput | None]
    ) -> None:
        self._path = path
        self._folder = os.path.dirname(path)
        self._prefix = prefix
        self._records = records
        self._protected = protected

    def refuse(self, *, force: bool) -> None:
        """Refuse a protected folder.

        Raises:
            BadInput: The folder is protected, and `force` is True.
            AlreadyExists: The folder is protected, and `force` is False.
        """
        error = self._protected()
        if error is not None:
            raise error if force else AlreadyExists(error.message, hint=error.hint)

    def has_leftovers(self, manifest: Manifest) -> bool:
        """Return whether the folder has files of earlier pulls that an artifact does not have."""
        if self._records is None:
            return False
        record = self._records.find(self._path, os.lstat(self._path).st_ino)
        wanted = {entry.path for entry in manifest.entries}
        return any(path not in wanted and os.path.lexists(os.path.join(self._path, path)) for path in record.files)

    def look(self, manifest: Manifest, whole: Manifest | None, *, force: bool, dry_run: bool) -> Plan:
        """Return the plan for a folder with files, without changing it; see `put` for the arguments.

        Args:
            dry_run: Do not lock the folder, which would create a file in the user's data folder.

        Raises:
            AlreadyExists: There are conflicts, listed in the message.
        """
        with self._planned(manifest, whole, lock=not dry_run) as (_, record, plan):
            self._refuse(plan, record, whole, force=force)
            return plan

    def _refuse(self, plan: Plan, record: PullRecord, whole: Manifest | None, *, force: bool) -> None:
        """Refuse a plan with conflicts or, without `force`, one that replaces files or mixes versions.

        Raises:
            AlreadyExists: The message lists the files.
        """
        if not force and plan.replaced:
            files = listed([quoted(path) for path in plan.replaced])
            raise AlreadyExists(
                f"files in {quoted(self._path)} have other content: {files}",
                hint="add --force to replace them, or name another destination",
            )
        plan.refuse_conflicts(self._path)
        if force or whole is None:
            return
        own = {entry.path: entry.digest.value for entry in whole.entries}
        foreign = [quoted(path) for path, digests in record.files.items() if own.get(path) not in digests]
        if foreign:
            raise AlreadyExists(
                f"{quoted(self._path)} has files of another version: {listed(foreign)}",
                hint="name another destination, or add --force to mix them",
            )

    def put(
        self, path: str, staged: Tree, manifest: Manifest, whole: Manifest | None, *, force: bool
    ) -> tuple[str, ...]:
        """Move a complete folder, or its files, to the destination; return the other paths that remain there.

        Args:
            whole: The manifest of the artifact, if a selection of it is added to the files of an existing folder.
        """
        if not is_folder(self._path) or not (os.listdir(self._path) or self._protected()):
            self._rename_folder(path, staged.identity.st_ino, record_of(manifest))
            return ()
        if whole is None and not force and os.listdir(self._path):
            raise taken(self._path, folder=True)
        with self._planned(manifest, whole) as (target, record, plan):
            self._refuse(plan, record, whole, force=force)
            if whole is not None:
                self._add(path, staged, target, plan, manifest, record)
            elif record and not plan.others:
                self._exchange_folder(path, staged, target, plan, manifest)
            else:
                self._merge(path, staged, target, plan, manifest, record)
            if whole is not None or not record or plan.others:
                target.settle_folders(folders_of(manifest))
                sync_all(self._path)
        return plan.others

    @contextlib.contextmanager
    def _planned(
        self, manifest: Manifest, whole: Manifest | None, *, lock: bool = True
    ) -> Iterator[tuple[Tree, PullRecord, Plan]]:
        """Yield the folder at the path, its record and the plan for it; locked against other pulls with records."""
        with (
            self._records.locked(self._path) if self._records and lock else contextlib.nullcontext(),
            opened_folder(self._path, follow=False) as descriptor,
            Tree(self._path, descriptor) as tree,
        ):
            record = self._records.find(self._path, tree.identity.st_ino) if self._records else PullRecord()
            yield tree, record, make_plan(tree, manifest, record, whole=whole)

    def _add(self, path: str, staged: Tree, target: Tree, plan: Plan, manifest: Manifest, record: PullRecord) -> None:
        """Merge a selection of files; the record keeps the files of earlier pulls."""
        inode, made = target.identity.st_ino, record_of(manifest)
        self._record(inode, record.also(record_of(manifest, frozenset())))
        try:
            folders = Merge(staged, target, path=self._path, source=path).run(plan, manifest, PullRecord())
        except BaseException:
            self._record(inode, record)
            raise
        kept = PullRecord(files={**record.files, **made.files}, folders=record.folders | folders)
        self._record(inode, kept)

    def _merge(self, path: str, staged: Tree, target: Tree, plan: Plan, manifest: Manifest, record: PullRecord) -> None:
        inode, made = target.identity.st_ino, record_of(manifest)
        # Record the old and the new files, since the folder has some of each until the merge is done.
        self._record(inode, record.also(record_of(manifest, frozenset())))
        try:
            folders = Merge(staged, target, path=self._path, source=path).run(plan, manifest, record)
        except BaseException:
            self._record(inode, record)
            raise
        self._record(inode, record_of(manifest, made.folders & (folders | record.folders)))

    def _record(self, inode: int, record: PullRecord) -> None:
        if self._records is None:
            return
        if not record or not self._records.keep(self._path, inode, record):
            self._records.drop(self._path, inode)  # a missing record is better than a wrong one

    def _rename_folder(self, path: str, inode: int, record: PullRecord) -> None:
        """Rename a complete folder to the destination; only an empty folder is replaced.

        Raises:
            AlreadyExists: Something else has appeared there during the pull.
        """
        self._record(inode, record)
        try:
            try:
                os.rename(path, self._path)  # succeeds if the name is free; on POSIX also if it is an empty folder
                return
            except OSError as error:
                occupied = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)
                if error.errno not in occupied:
                    raise
                if not self._rename_onto_empty(path):
                    raise taken(self._path, folder=True) from None
        except BaseException:
            self._record(inode, PullRecord())
            raise

    def _rename_onto_empty(self, path: str) -> bool:
        """Replace an empty folder, which Windows cannot do by renaming; return False if the folder is not empty."""
        try:
            os.rmdir(self._path)
        except OSError:
            return False
        try:
            os.rename(path, self._path)
        except BaseException:
            os.mkdir(self._path)
            raise
        return True

    def _exchange_folder(self, path: str, staged: Tree, target: Tree, plan: Plan, manifest: Manifest) -> None:
        """Replace the folder at the path by one rename: it has only files of earlier pulls or of the same names."""
        inode = staged.identity.st_ino
        self._record(inode, record_of(manifest))
        try:
            with self._swapped(path) as old:
                if not os.path.samestat(os.lstat(old), target.identity):
                    raise self._changed()
                with target.renamed_to(old) as replaced:
                    if not holds_only(replaced, plan.seen):
                        raise self._changed()
        except BaseException:
            self._record(inode, PullRecord())
            raise
        self._record(target.identity.st_ino, PullRecord())

    @contextlib.contextmanager
    def _swapped(self, path: str) -> Iterator[str]:
        """Swap a complete folder with the file or folder at the path, and swap back if the body raises.

        Yields the path of the replaced file or folder, which is removed at the end.
        """
        if rename2(path, self._path, RENAME_EXCHANGE):
            try:
                yield path  # the owner of the partial path removes it
            except BaseException:
                if not rename2(path, self._path, RENAME_EXCHANGE):
                    self._leave_aside(path)
                raise
            return
        aside = os.path.join(self._folder, f"{self._prefix}{os.urandom(6).hex()}")
        os.rename(self._path, aside)
        try:
            os.rename(path, self._path)
        except BaseException:
            os.rename(aside, self._path)
            raise
        try:
            yield aside
        except BaseException:
            os.rename(self._path, path)
            os.rename(aside, self._path)
            raise
        remove(aside)

    def _leave_aside(self, path: str) -> None:
        """Rename a replaced file or folder that cannot be restored, so that no later pull removes it."""
        saved = f"{self._path}.replaced-{os.urandom(4).hex()}"
        with contextlib.suppress(OSError):
            os.rename(path, saved)

    def _changed(self) -> Conflict:
        return Conflict(f"{quoted(self._path)} was changed during the pull", hint="repeat the command")


def is_folder(path: str) -> bool:
    """Return whether a path is a folder, not a link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def taken(path: str, *, folder: bool) -> AlreadyExists:
    """Return the error for an existing destination that must not be replaced.

    Args:
        folder: A folder is pulled.
    """
    hint = "name another destination"
    if folder and is_folder(path):
        hint = f"add --force to replace files of the same name and of earlier pulls, or {hint}"
    elif not folder and not is_folder(path):
        hint = f"add --force to replace it, or {hint}"
    return AlreadyExists(f"{quoted(path)} already exists with other content", hint=hint)


def refuse_irreplaceable(path: str, *, folder: bool) -> None:
    """Refuse to replace a device, a pipe or a socket, or a link to one.

    Args:
        folder: Accept a folder.

    Raises:
        BadInput: The path is of such a kind.
    """
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            with contextlib.suppress(OSError):  # a broken link
                found = os.stat(path)
            folder = True
    except OSError:
        return
    kind = stat.S_IFMT(found.st_mode)
    if kind in (stat.S_IFREG, stat.S_IFLNK) or (kind == stat.S_IFDIR and folder):
        return
    raise BadInput(
        f"{quoted(path)} is {kind_of(kind)}, which is never replaced",
        hint="name another destination",
    )
