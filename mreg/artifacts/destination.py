"""Where a pull writes: beside the destination first, then there by one rename."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mreg.artifacts.backend import Chunk, Wanted
from mreg.artifacts.file_names import check_encodable
from mreg.artifacts.hashing import CHUNK_BYTES, Hashing, damaged, digest_of, hashed, stream_chunks
from mreg.artifacts.partial import Partial, partial, size_of
from mreg.artifacts.placing import FolderPlace, is_folder, refuse_irreplaceable, taken
from mreg.artifacts.records import PullRecords, folders_of
from mreg.artifacts.resuming import make_folder, missing_entries
from mreg.artifacts.tree import Tree, names_below
from mreg.domain.digest import Digest
from mreg.domain.manifest import ManifestEntry, folded_names
from mreg.domain.paths import reserved_on_windows
from mreg.domain.text import quoted, shell_word
from mreg.durability import settle, sync, sync_all, sync_file, sync_folder
from mreg.errors import BadInput, Corrupt, NotFound, Unavailable
from mreg.files import CREATE, UPDATE, WINDOWS, name_new, open_file, read_at, replace, room
from mreg.linux import begin_sync

T = TypeVar("T")

Fetch = Callable[[Sequence[Wanted]], Generator[Iterator[Chunk]]]
"""Gives for each blob in turn its chunks, whose digest and size are not checked yet; closed where it is left early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came of a pull.

    Attributes:
        unchanged: The very same bytes stood there already, so that nothing was written.
        kept_bytes: How many had arrived with an earlier pull that was cut.
        others: Paths in the folder that stay beside the artifact's files; see `mreg.artifacts.replacing.Plan`.
    """

    unchanged: bool = False
    kept_bytes: int = 0
    others: tuple[str, ...] = ()


class Destination:
    """A file or folder to be made.

    What is written meanwhile stands beside it as ``.NAME.mreg-...``, locked by its process. Where ``resumable``, a
    pull that is cut leaves it there for the next one to the same destination, which goes on from it; everything else
    that dead pulls left is removed by the next. Neither is done on systems without locks (Windows).

    Args:
        fetch: Where the bytes come from.
        keep: Told of each blob that was received and verified, and the file that it is in.
        advance: Told of bytes that need not be fetched.
        records: Which folders earlier pulls made; None: every file in a folder counts as the user's.
        protected: Returns an error if the files in the folder at the destination must not be replaced.
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
    ) -> None:
        self._path = str(path)
        self._folder = os.path.dirname(self._path)
        # Cut so that the longest names, too, leave room for ours.
        self._prefix = f".{os.path.basename(self._path)[:40]}.mreg-"
        self._fetch = fetch
        self._resumable = resumable
        self._keep = keep
        self._advance = advance
        self._place = FolderPlace(self._path, self._prefix, records, protected)
        self._kept = 0

    def receive_file(self, digest: Digest, size: int, *, force: bool) -> Received:
        """Make the file, verified."""
        self._refuse_reserved(os.path.basename(self._path))
        if self._occupied(force=force, folder=False, same=lambda: self._same_file(self._path, digest, size)):
            return Received(unchanged=True)
        with self._translated(), self._partial(digest, size, _make_file) as made:
            descriptor = made.descriptor
            hashing, start = self._found(descriptor, size)
            fault = self._copy_one(digest, size, descriptor, hashing, start)
            if fault is not None and start:  # what was kept may have been damaged: once more, from the beginning
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
        """Make the file of bytes that are made, and verified, by who gives them.

        Args:
            digest: Of something that tells it from others.
            make: Gives its bytes to the function that it is handed.
        """
        self._occupied(force=force, folder=False, same=lambda: False)
        with self._translated(), self._partial(digest, size, _make_file) as made:
            with os.fdopen(os.dup(made.descriptor), "wb", buffering=CHUNK_BYTES) as stream:
                make(stream.write)
            sync(made.descriptor)
            self._give_name(made, force=force)

    def receive_written(self, write: Callable[[str], T], *, force: bool) -> T:
        """Make the file, which is written under the name that is handed over; what that leaves beside it is dropped."""
        self._occupied(force=force, folder=False, same=lambda: False)
        with self._translated(), self._partial(digest_of(os.fsencode(self._path)), 0, make_folder) as made:
            inner = os.path.join(made.path, "made")  # the folder itself is locked, which a database may want to do, too
            os.mkdir(inner)
            path = os.path.join(inner, "file")
            result = write(path)
            sync_file(path)
            self._give_name(made, path, force=force)
        return result

    def receive_folder(self, digest: Digest, entries: Sequence[ManifestEntry], *, force: bool) -> Received:
        """Make the folder of a manifest, every file verified.

        With ``force`` files of the same name in a folder that is there are replaced, and files of earlier pulls are
        removed; other files stay. If the folder holds nothing but files of earlier pulls it is replaced whole, by one
        rename. Otherwise each file is replaced by one rename: a crash leaves some old and some new files, and the same
        pull completes them.

        Raises:
            AlreadyExists: Files are in the way, and the message lists them; or ``force`` is not given.
            BadInput: The folder must not be replaced.
            Conflict: The folder was changed during the pull.
        """
        self._refuse_reserved(os.path.basename(self._path), *(entry.path for entry in entries))
        for entry in entries:
            check_encodable(entry.path)
        if self._occupied(force=force, folder=True, same=lambda: self._same_folder(entries)):
            return Received(unchanged=True)
        if is_folder(self._path) and os.listdir(self._path):
            with self._translated():
                self._place.refuse_conflicts(entries)  # before anything is fetched
        size = sum(entry.size for entry in entries)
        with self._translated(), self._partial(digest, size, make_folder) as made:
            with Tree(made.path, made.descriptor) as tree:
                self._receive_entries(made.path, tree, missing_entries(tree, entries, self._found_already))
                tree.settle_folders(folders_of(entries))
                sync_all(made.descriptor)
                others = self._place.put(made.path, tree, entries, force=force)
            sync_folder(self._folder)
        return Received(kept_bytes=self._kept, others=others)

    def _receive_entries(self, root: str, tree: Tree, entries: Sequence[ManifestEntry]) -> None:
        with closing(self._fetch([Wanted(entry.digest, entry.size) for entry in entries])) as blobs:
            for entry, chunks in zip(entries, blobs, strict=True):
                descriptor = tree.create(entry.path, CREATE, 0o777 if entry.executable else 0o666)
                try:
                    fault = self._copy(chunks, entry.digest, entry.size, descriptor, Hashing(entry.size), 0)
                    if fault is not None:
                        raise fault
                    settle(descriptor)
                finally:
                    os.close(descriptor)
                self._keep(entry.digest, os.path.join(root, entry.path))

    def _found(self, descriptor: int, size: int) -> tuple[Hashing, int]:
        """What of a file an earlier pull brought, hashed, and how much that is."""
        there = os.fstat(descriptor).st_size
        if there > size:
            os.ftruncate(descriptor, 0)
            there = 0
        hashing = Hashing(size)
        for start in range(0, there, CHUNK_BYTES):
            hashing.add(read_at(descriptor, min(CHUNK_BYTES, there - start), start))
        self._found_already(there)
        return hashing, there

    def _found_already(self, count: int) -> None:
        self._kept += count
        self._advance(count)

    def _copy_one(self, digest: Digest, size: int, descriptor: int, hashing: Hashing, start: int) -> Corrupt | None:
        with closing(self._fetch([Wanted(digest, size, start)])) as blobs:
            return self._copy(next(blobs), digest, size, descriptor, hashing, start)

    def _copy(
        self, chunks: Iterator[Chunk], digest: Digest, size: int, descriptor: int, hashing: Hashing, start: int
    ) -> Corrupt | None:
        """Write the chunks from a place on, hashing what is written; the fault, if they are not the blob's."""
        place = start
        os.ftruncate(descriptor, start)
        os.lseek(descriptor, start, os.SEEK_SET)
        with hashing:
            for chunk in chunks:
                hashing.add(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[os.write(descriptor, view) :]
                begin_sync(descriptor, place, len(chunk))
                place += len(chunk)
                if isinstance(chunk, memoryview):
                    hashing.settle()
                if place > size:
                    return damaged(digest, f"it has more than {size} bytes")
            if place < size:
                return damaged(digest, f"it has {place} bytes in place of {size}")
            return None if hashing.digest() == digest else damaged(digest)

    def _refuse_reserved(self, *paths: str) -> None:
        if not WINDOWS:
            return
        for path in paths:
            if reserved_on_windows(path):
                raise BadInput(
                    f"cannot make {quoted(path)}: Windows refuses that name, or opens something else by it",
                    hint="pull it on another system",
                )

    def _occupied(self, *, force: bool, folder: bool, same: Callable[[], bool]) -> bool:
        """Whether the destination is as it should be already.

        Args:
            folder: Whether a folder is to be made.

        Raises:
            AlreadyExists: Something else is there, and it is not to be replaced.
            BadInput: Something is there that is never replaced.
            NotFound: The folder that it would be in does not exist.
        """
        if not os.path.isdir(self._folder):
            what = "is no folder" if os.path.lexists(self._folder) else "does not exist"
            raise NotFound(
                f"the folder {quoted(self._folder)} {what}", hint=f"mkdir -p {shell_word(self._folder)}", kind="folder"
            )
        if not os.path.lexists(self._path):
            return False
        refuse_irreplaceable(self._path, folder=folder or not force)
        with self._translated():
            if same():
                return True
        if folder and is_folder(self._path):
            with self._translated():
                empty = not os.listdir(self._path)
            if empty:
                return False
            self._place.refuse(force=force)
        if not force or (folder and not is_folder(self._path)):
            raise taken(self._path, folder=folder)
        return False

    def _give_name(self, made: Partial, path: str = "", *, force: bool) -> None:
        """Give a finished file the destination's name, durably.

        Args:
            path: The file; empty for the partial file itself.
        """
        made.release()
        if force:
            refuse_irreplaceable(self._path, folder=False)
            replace(path or made.path, self._path)
        else:
            self._link(path or made.path)
        sync_folder(self._folder)

    def _same_file(self, path: str, digest: Digest, size: int, executable: bool | None = None) -> bool:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False
        if executable is not None and not WINDOWS and bool(found.st_mode & stat.S_IXUSR) != executable:
            return False
        with os.fdopen(open_file(path, follow=False), "rb", buffering=0) as stream:
            return hashed(stream_chunks(stream, CHUNK_BYTES)) == digest

    def _same_folder(self, entries: Sequence[ManifestEntry]) -> bool:
        if not is_folder(self._path):
            return False
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # another pull may replace it meanwhile
            for entry in entries:  # a large folder of other files is not walked through
                found = os.lstat(os.path.join(self._path, entry.path))
                if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
                    return False
            # A disk may spell a name in another Unicode form or case, and still find the file by the entry's path.
            there, wanted = names_below(self._path), [entry.path for entry in entries]
            return folded_names(there) == folded_names(wanted) and all(
                self._same_file(os.path.join(self._path, entry.path), entry.digest, entry.size, entry.executable)
                for entry in entries
            )
        return False

    @contextlib.contextmanager
    def _partial(self, digest: Digest, size: int, make: Callable[[str], int]) -> Iterator[Partial]:
        """The partial file or folder next to the destination; see `mreg.artifacts.partial`."""
        with partial(self._folder, self._prefix, digest, make, resumable=self._resumable) as made:
            free = room(self._folder) + size_of(made.path)
            if size > free:
                raise Unavailable(
                    f"{size} bytes do not fit beside {quoted(self._path, 300)}, where there is room for {free}",
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
                f"{quoted(self._path)} can't be written: {error.strerror or error}",
                hint="mend its permissions or free some space, or name another destination",
            ) from error


def _nothing() -> Generator[Iterator[Chunk]]:
    yield from ()


def _make_file(path: str) -> int:
    return open_file(path, UPDATE, 0o666, follow=False)
