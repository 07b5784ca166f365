"""The destination of a pull, which is first written to a temporary name next to it and then renamed."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mreg.artifacts.backend import BlobRequest, Chunk
from mreg.artifacts.file_names import check_encodable
from mreg.artifacts.hashing import CHUNK_BYTES, Hashing, damaged, digest_of, hashed, stream_chunks
from mreg.artifacts.partial import Partial, partial, remove_leftovers, size_of
from mreg.artifacts.placing import FolderPlace, is_folder, refuse_irreplaceable, taken
from mreg.artifacts.records import PullRecords, folders_of
from mreg.artifacts.replacing import LISTED, Plan
from mreg.artifacts.resuming import make_folder, missing_entries
from mreg.artifacts.tree import Tree, names_below
from mreg.domain.digest import Digest
from mreg.domain.manifest import Manifest, ManifestEntry, folded_names
from mreg.domain.paths import reserved_on_windows
from mreg.domain.text import quoted, shell_word
from mreg.durability import settle, sync, sync_all, sync_file, sync_folder
from mreg.errors import BadInput, Corrupt, NotFound, Unavailable
from mreg.files import CREATE, UPDATE, WINDOWS, name_new, open_file, read_at, replace, room, write_all
from mreg.linux import begin_sync

T = TypeVar("T")

Fetch = Callable[[Sequence[BlobRequest]], Generator[Iterator[Chunk]]]
"""Yields the unverified chunks of each blob in order; the caller must close the generator if it stops early."""

WRITERS = 4
SMALL_BYTES = 1 << 20
"""Files up to this size are written by `WRITERS` threads; larger ones by the thread that receives them."""

WRITING_BYTES = 8 << 20
"""Maximum number of bytes of small files that wait to be written."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of a pull; the path of an empty folder ends in ``/``.

    Attributes:
        state: ``new``, ``unchanged`` (already there), ``replaced`` or ``removed`` (of an earlier pull).
    """

    path: str
    size: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The result of a pull.

    Attributes:
        unchanged: The destination already had the same content, so nothing was written.
        kept_bytes: Number of bytes reused from an interrupted pull.
        others: Other paths that remain in the folder; see `mreg.artifacts.replacing.Plan`.
        files: The files of the pull, with their states before it, if it is a dry run or of a selection.
    """

    unchanged: bool = False
    kept_bytes: int = 0
    others: tuple[str, ...] = ()
    files: tuple[PlannedFile, ...] = ()


class Destination:
    """A file or folder to create.

    It is written next to the destination as ``.NAME.mreg-...``, locked by its process. If `resumable`, an interrupted
    pull leaves these bytes, and the next pull to the same destination resumes from them. The next pull removes other
    leftovers of dead pulls. On systems without locks (Windows), neither happens.

    Args:
        fetch: Source of the bytes.
        keep: Called with the digest of each verified blob and the path of its file.
        advance: Called with the number of bytes that need not be fetched.
        records: Records of folders that earlier pulls created; with None, every file in a folder counts as the user's.
        protected: Returns an error if the files in the folder at the destination must not be replaced.
        make_parents: Create missing parent folders.
        parallel: Write the small files of a folder on several threads, which helps if several threads fetch them.
    """

    def __init__(
        self,
        path: Path,
        fetch: Fetch = lambda _wanted: _nothing(),
        *,
        resumable: bool = False,
        keep: Callable[[Digest, str], None] = lambda _digest, _path: None,
        advance: Callable[[int], None] = lambda _count: None,
        records: PullRecords | None = None,
        protected: Callable[[], BadInput | None] = lambda: None,
        make_parents: bool = False,
        parallel: bool = False,
    ) -> None:
        self._path = str(path)
        self._folder = os.path.dirname(self._path)
        # Truncated, so that a name of the maximum length leaves room for the suffix.
        self._prefix = f".{os.path.basename(self._path)[:40]}.mreg-"
        self._fetch = fetch
        self._resumable = resumable
        self._keep = keep
        self._advance = advance
        self._place = FolderPlace(self._path, self._prefix, records, protected)
        self._make_parents = make_parents
        self._parallel = parallel
        self._kept = 0
        self._there: set[str] = set()

    def receive_file(self, digest: Digest, size: int, *, force: bool, dry_run: bool = False) -> Received:
        """Write the file of a blob, verified.

        Args:
            dry_run: Write nothing.
        """
        name = os.path.basename(self._path)
        self._refuse_reserved(name)
        if self._is_unchanged(force=force, folder=False, is_same=lambda: self._same_file(self._path, digest, size)):
            return Received(unchanged=True, files=(PlannedFile(name, size, "unchanged"),))
        if dry_run:
            state = "replaced" if os.path.lexists(self._path) else "new"
            return Received(files=(PlannedFile(name, size, state),))
        with self._translated(), self._parents(), self._partial(digest, size, _make_file) as made:
            descriptor = made.descriptor
            hashing, start = self._found(descriptor, size)
            fault = self._copy_one(digest, size, descriptor, hashing, start)
            if fault is not None and start:  # the reused bytes can be damaged: start again from the beginning
                self._advance(-size)
                self._kept = 0
                fault = self._copy_one(digest, size, descriptor, Hashing(size), 0)
            if fault is not None:
                raise fault
            sync(descriptor)
            self._keep(digest, made.path)
            self._give_name(made, force=force)
        return Received(kept_bytes=self._kept)

    def receive_made(
        self, digest: Digest, size: int, make: Callable[[Callable[[Chunk], object]], None], *, force: bool
    ) -> None:
        """Write a file of generated bytes, which the caller verifies.

        Args:
            digest: Identifies the content in the temporary name.
            make: Calls the function that it gets with the bytes.
        """
        self._is_unchanged(force=force, folder=False, is_same=lambda: False)
        with self._translated(), self._partial(digest, size, _make_file) as made:
            make(lambda chunk: write_all(made.descriptor, chunk))
            sync(made.descriptor)
            self._give_name(made, force=force)

    def receive_written(self, write: Callable[[str], T], *, force: bool) -> T:
        """Let `write` create the file at a temporary path; other files that it leaves next to it are removed."""
        self._is_unchanged(force=force, folder=False, is_same=lambda: False)
        with self._translated(), self._partial(digest_of(os.fsencode(self._path)), 0, make_folder) as made:
            inner = os.path.join(made.path, "made")  # the outer folder is locked; a database could lock its folder, too
            os.mkdir(inner)
            path = os.path.join(inner, "file")
            result = write(path)
            sync_file(path)
            self._give_name(made, path, force=force)
        return result

    def receive_folder(
        self,
        digest: Digest,
        manifest: Manifest,
        *,
        force: bool,
        whole: Manifest | None = None,
        dry_run: bool = False,
    ) -> Received:
        """Write the folder of a manifest, every file verified.

        With `force`, files of the same name in an existing folder are replaced and other files of earlier pulls are
        removed; all other files remain. A folder that has only files of earlier pulls is replaced by one rename.
        Otherwise each file is replaced by one rename: a crash leaves some old and some new files, and repeating the
        pull completes them.

        A selection is added to the files of an existing folder: no file is removed, and files with the same bytes are
        not fetched. So is a whole artifact, if the folder has only files of it.

        Args:
            digest: Digest of the manifest.
            whole: The manifest of the artifact, if `manifest` is a selection of it.
            dry_run: Write nothing.

        Raises:
            AlreadyExists: The folder has conflicting files, listed in the message; or files of other content, and
                `force` is False.
            BadInput: The folder must not be replaced.
            Conflict: The folder was changed during the pull.
        """
        paths = [*(entry.path for entry in manifest.entries), *manifest.folders]
        self._refuse_reserved(os.path.basename(self._path), *paths)
        for path in paths:
            check_encodable(path)
        selected = manifest
        if whole is None and not force and self._has_only(manifest):
            whole = manifest
        same = self._has_all if whole is not None else self._same_or_within
        if self._is_unchanged(force=force, folder=True, adds=whole is not None, is_same=lambda: same(manifest)):
            if not dry_run:
                remove_leftovers(self._folder, self._prefix)
            return Received(unchanged=True, others=self._others_than(whole or manifest), files=_planned(selected, None))
        plan = None
        if is_folder(self._path) and os.listdir(self._path):
            with self._translated():
                if whole is not None:
                    manifest = self._missing_here(manifest)
                plan = self._place.look(manifest, whole, force=force, dry_run=dry_run)  # before anything is fetched
        files = _planned(selected, manifest, plan)
        if dry_run:
            return Received(files=files, others=plan.others if plan else ())
        self._advance(selected.size - manifest.size)
        with self._translated(), self._parents(), self._partial(digest, manifest.size, make_folder) as made:
            with Tree(made.path, made.descriptor) as tree:
                self._receive_entries(made.path, tree, missing_entries(tree, manifest, self._found_already))
                for folder in manifest.folders:
                    tree.make_folder(folder)
                tree.settle_folders(folders_of(manifest))
                sync_all(made.descriptor)
                others = self._place.put(made.path, tree, manifest, whole, force=force)
            self._keep_name()
        return Received(kept_bytes=self._kept, others=others, files=files)

    def _has_only(self, manifest: Manifest) -> bool:
        """Return whether the destination is a folder with some files of a manifest and no others."""
        if not is_folder(self._path):
            return False
        with self._translated(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            there, own = names_below(self._path), {entry.path: entry for entry in manifest.entries}
            return bool(there) and there <= own.keys() and all(self._has(own[path]) for path in there)
        return False

    def _same_or_within(self, manifest: Manifest) -> bool:
        """Return whether a pull of the whole artifact would change no file: other files can be in the folder, too."""
        return self._has_all(manifest) and not self._place.has_leftovers(manifest)

    def _others_than(self, manifest: Manifest) -> tuple[str, ...]:
        """Return some paths in the folder that an artifact does not have."""
        folded = set(folded_names(entry.path for entry in manifest.entries))
        with contextlib.suppress(OSError):
            there = sorted(names_below(self._path))
            return tuple(path for path in there if folded.isdisjoint(folded_names((path,))))[: LISTED + 1]
        return ()

    def _has(self, entry: ManifestEntry) -> bool:
        """Return whether the destination has a file of a manifest with the same bytes, and not by a link."""
        if entry.path in self._there:
            return True
        path = os.path.join(self._path, entry.path)
        folders = entry.path.split("/")[:-1]
        if not all(is_folder(os.path.join(self._path, *folders[:depth])) for depth in range(1, len(folders) + 1)):
            return False
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if self._same_file(path, entry.digest, entry.size, entry.executable):
                self._there.add(entry.path)  # a large folder is hashed once
                return True
        return False

    def _has_all(self, manifest: Manifest) -> bool:
        """Return whether the destination is a folder with all files and empty folders of a manifest."""
        missing = self._missing_here(manifest)
        return is_folder(self._path) and not (missing.entries or missing.folders)

    def _missing_here(self, manifest: Manifest) -> Manifest:
        """Return the files and empty folders of a manifest that the destination does not have with the same bytes."""
        return Manifest(
            tuple(entry for entry in manifest.entries if not self._has(entry)),
            tuple(folder for folder in manifest.folders if not is_folder(os.path.join(self._path, folder))),
        )

    def _receive_entries(self, root: str, tree: Tree, entries: Sequence[ManifestEntry]) -> None:
        with closing(self._fetch([BlobRequest(entry.digest, entry.size) for entry in entries])) as blobs:
            received = zip(entries, blobs, strict=True)
            written = self._written_in_parallel(tree, received) if self._parallel else self._written(tree, received)
            with closing(written):
                for entry in written:
                    self._keep(entry.digest, os.path.join(root, entry.path))

    def _written(
        self, tree: Tree, received: Iterable[tuple[ManifestEntry, Iterable[Chunk]]]
    ) -> Generator[ManifestEntry]:
        """Write the files of a folder, and yield each once it is complete."""
        for entry, chunks in received:
            self._fill(entry, chunks, _create(tree, entry))
            yield entry

    def _written_in_parallel(
        self, tree: Tree, received: Iterable[tuple[ManifestEntry, Iterable[Chunk]]]
    ) -> Generator[ManifestEntry]:
        """Write like `_written`, but small files on other threads.

        A thread waits for Python's lock after each system call, and the threads that fetch compete for it. One thread
        that writes thousands of files would spend most of its time there.
        """
        from mreg.artifacts.parallel import in_order

        creating = threading.Lock()

        def write(entry: ManifestEntry, chunks: Iterable[Chunk]) -> ManifestEntry:
            with creating:  # a `Tree` is for one thread at a time
                descriptor = _create(tree, entry)
            self._fill(entry, chunks, descriptor)
            return entry

        def small() -> Iterator[tuple[ManifestEntry, Iterable[Chunk]]]:
            for entry, chunks in received:
                if entry.size <= SMALL_BYTES:
                    yield entry, [bytes(chunk) for chunk in chunks]
                else:
                    large.append(write(entry, chunks))

        large: list[ManifestEntry] = []
        under_way = in_order(
            lambda item: write(*item),
            small(),
            at_once=WRITERS,
            size=lambda item: item[0].size,
            budget=WRITING_BYTES,
            awaited=True,
        )
        with closing(under_way):
            for entry in under_way:
                yield entry
                while large:
                    yield large.pop()
        yield from large

    def _fill(self, entry: ManifestEntry, chunks: Iterable[Chunk], descriptor: int) -> None:
        """Write a new file, which is closed afterwards.

        Raises:
            Corrupt: The chunks do not match the digest.
        """
        try:
            fault = self._copy(chunks, entry.digest, entry.size, descriptor, Hashing(entry.size), 0)
            if fault is not None:
                raise fault
            settle(descriptor)
        finally:
            os.close(descriptor)

    def _found(self, descriptor: int, size: int) -> tuple[Hashing, int]:
        """Return the hash and the number of the bytes that an interrupted pull left."""
        there = os.fstat(descriptor).st_size
        if there > size:
            there = 0  # `_copy_one` truncates the file
        hashing = Hashing(size)
        for start in range(0, there, CHUNK_BYTES):
            hashing.add(read_at(descriptor, min(CHUNK_BYTES, there - start), start))
        self._found_already(there)
        return hashing, there

    def _found_already(self, count: int) -> None:
        self._kept += count
        self._advance(count)

    def _copy_one(self, digest: Digest, size: int, descriptor: int, hashing: Hashing, start: int) -> Corrupt | None:
        os.ftruncate(descriptor, start)
        os.lseek(descriptor, start, os.SEEK_SET)
        with closing(self._fetch([BlobRequest(digest, size, start)])) as blobs:
            return self._copy(next(blobs), digest, size, descriptor, hashing, start)

    def _copy(
        self, chunks: Iterable[Chunk], digest: Digest, size: int, descriptor: int, hashing: Hashing, start: int
    ) -> Corrupt | None:
        """Write and hash the chunks at the end of a file; return the error if they do not match the digest.

        Args:
            start: Size of the file.
        """
        position = start
        with hashing:
            for chunk in chunks:
                hashing.add(chunk)
                write_all(descriptor, chunk)
                begin_sync(descriptor, position, len(chunk))
                position += len(chunk)
                if isinstance(chunk, memoryview):
                    hashing.settle()
                if position > size:
                    return damaged(digest, f"expected {size:,} bytes, got more")
            if position < size:
                return damaged(digest, f"expected {size:,} bytes, got {position:,}")
            return None if hashing.digest() == digest else damaged(digest)

    def _refuse_reserved(self, *paths: str) -> None:
        if not WINDOWS:
            return
        for path in paths:
            if reserved_on_windows(path):
                raise BadInput(
                    f"cannot create {quoted(path)}: the name is not allowed on Windows, or has another meaning there",
                    hint="pull it on another system",
                )

    def _is_unchanged(self, *, force: bool, folder: bool, is_same: Callable[[], bool], adds: bool = False) -> bool:
        """Return whether the destination already has the wanted content.

        Args:
            folder: A folder is pulled.
            adds: Its files are added to those of an existing folder.

        Raises:
            AlreadyExists: The destination has other content and `force` is False.
            BadInput: A parent is not a folder, or the destination is of a kind that is never replaced.
            NotFound: The parent folder does not exist.
        """
        missing = self._missing_parents() if self._make_parents else []
        parent = os.path.dirname(missing[-1]) if missing else self._folder
        if not os.path.isdir(parent):
            existing = parent
            while not os.path.lexists(existing):
                existing = os.path.dirname(existing)
            if not os.path.isdir(existing):
                raise BadInput(f"{quoted(existing)} is not a folder", hint="name another destination")
            hint = f"mkdir -p {shell_word(parent)}"
            raise NotFound(f"the folder {quoted(parent)} does not exist", hint=hint, kind="folder")
        if not os.path.lexists(self._path):
            return False
        refuse_irreplaceable(self._path, folder=folder or not force)
        with self._translated():
            if is_same():
                return True
        if folder and is_folder(self._path):
            with self._translated():
                empty = not os.listdir(self._path)
            if empty:
                return False
            self._place.refuse(force=force)
            if adds:
                return False
        if not force or (folder and not is_folder(self._path)):
            raise taken(self._path, folder=folder)
        return False

    def _missing_parents(self) -> list[str]:
        """Return the parent folders that do not exist, innermost first."""
        missing, folder = [], self._folder
        while not os.path.lexists(folder) and folder != os.path.dirname(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        return missing

    @contextlib.contextmanager
    def _parents(self) -> Iterator[None]:
        """Create the missing parent folders durably, and remove them again if the body raises."""
        made: list[str] = []
        try:
            for folder in reversed(self._missing_parents()):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder)
                    made.append(folder)
                sync_folder(os.path.dirname(folder))
            yield
        except BaseException:
            for folder in reversed(made):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
            raise

    def _give_name(self, made: Partial, path: str = "", *, force: bool) -> None:
        """Rename a complete file to the destination, durably.

        Args:
            path: Path of the file (default: the partial file).
        """
        made.release()
        if force:
            refuse_irreplaceable(self._path, folder=False)
            replace(path or made.path, self._path)
        else:
            self._link(path or made.path)
        self._keep_name()

    def _keep_name(self) -> None:
        """Make the new name of the destination durable.

        Raises:
            Unavailable: The flush failed. The destination is kept, since the file that it replaced is gone.
        """
        try:
            sync_folder(self._folder)
        except OSError as error:
            raise Unavailable(
                f"{quoted(self._path)} is complete, but a power loss could remove it: "
                f"cannot flush {quoted(self._folder)} to the disk: {error.strerror or error}",
                hint=f"check the disk, then copy the data elsewhere: df -h {shell_word(self._folder)}",
            ) from error

    def _same_file(self, path: str, digest: Digest, size: int, executable: bool | None = None) -> bool:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False
        if executable is not None and not WINDOWS and bool(found.st_mode & stat.S_IXUSR) != executable:
            return False
        with os.fdopen(open_file(path, follow=False), "rb", buffering=0) as stream:
            return hashed(stream_chunks(stream, CHUNK_BYTES)) == digest

    @contextlib.contextmanager
    def _partial(self, digest: Digest, size: int, make: Callable[[str], int]) -> Iterator[Partial]:
        """Yield the partial file or folder next to the destination; see `mreg.artifacts.partial`."""
        with partial(self._folder, self._prefix, digest, make, resumable=self._resumable) as made:
            free = room(self._folder) + size_of(made.path)
            if size > free:
                raise Unavailable(
                    f"not enough space for {quoted(self._path, 300)}: {size:,} bytes needed, {free:,} free",
                    hint="free some space there, or name another destination",
                )
            yield made

    def _link(self, path: str) -> None:
        try:
            name_new(path, self._path)
        except FileExistsError:
            raise taken(self._path, folder=False) from None

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"cannot write {quoted(self._path)}: {error.strerror or error}",
                hint="fix its permissions or free some space, or name another destination",
            ) from error


def _planned(selected: Manifest, missing: Manifest | None, plan: Plan | None = None) -> tuple[PlannedFile, ...]:
    """Return the files of a pull with their states.

    Args:
        missing: The files that are written (default: none).
        plan: Plan of a merge into an existing folder.
    """
    written = {entry.path for entry in missing.entries} if missing else set()
    replaced = plan.replaced if plan else {}
    files = [
        PlannedFile(
            entry.path,
            entry.size,
            "unchanged" if entry.path not in written else "replaced" if entry.path in replaced else "new",
        )
        for entry in selected.entries
    ]
    made = set(missing.folders) if missing else set()
    files += [PlannedFile(f"{path}/", 0, "new" if path in made else "unchanged") for path in selected.folders]
    removed = plan.removed if plan else {}
    return (*files, *(PlannedFile(path, found.st_size, "removed") for path, found in removed.items()))


def _nothing() -> Generator[Iterator[Chunk]]:
    yield from ()


def _make_file(path: str) -> int:
    return open_file(path, UPDATE, 0o666, follow=False)


def _create(tree: Tree, entry: ManifestEntry) -> int:
    """Create the file of an entry, and return its descriptor."""
    return tree.create(entry.path, CREATE, 0o777 if entry.executable else 0o666)
