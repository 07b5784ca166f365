"""Files between a server and its clients: bundles and backups to download, and bundles that were uploaded.

They are in the system's temporary folder (TMPDIR), each in a private folder that is locked while its process runs. A
file to download has no name once it is complete, so that nothing is left of it when the process ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mreg import files
from mreg.artifacts.hashing import CHUNK_BYTES, Hashing
from mreg.domain.digest import Digest
from mreg.errors import Unavailable
from mreg.registry.backup import backup, path_in_errors
from mreg.registry.export import default_name, export
from mreg.registry.temporary_space import ELSEWHERE, Share

if TYPE_CHECKING:
    from mreg.registry.registry import Progress, Reference
    from mreg.registry.session import Session
    from mreg.results.bundles import Exported
    from mreg.results.upkeep import CatalogCopy

PREFIX = "mreg-serve-"
"""Prefix of the temporary folders; `mreg.registry.doctor.TEMPORARY` has it, too."""

BACKUP_NAME = "mreg-backup.db"

TRIES = 10
"""Maximum number of folders that are created until one is locked: another process can remove an unlocked one."""


class PreparedFile:
    """A file for clients to download; removed when it is closed, or when the process ends.

    Attributes:
        name: File name for the client, which has any characters that a model name can have.
    """

    def __init__(self, path: str, name: str, digest: Digest, folder: str, share: Share) -> None:
        self.name = name
        self.digest = digest
        self._folder = folder
        self._share = share
        self._descriptor = files.open_file(path, follow=False)
        self.size_bytes = os.fstat(self._descriptor).st_size
        self._remove()  # Windows does not remove open files, and `close` removes it there

    def read(self, start: int, length: int) -> Generator[bytes]:
        """Yield a part of the file in chunks; the file can be closed meanwhile.

        Raises:
            Unavailable: The file was closed before, or cannot be read.
        """
        try:
            descriptor = os.dup(self._descriptor)
        except OSError as error:
            raise Unavailable("the file is no longer there", hint="request it again") from error
        try:
            while length > 0:
                chunk = files.read_at(descriptor, min(CHUNK_BYTES, length), start)
                if not chunk:
                    raise Unavailable("the temporary file is shorter than before", hint="request it again")
                start, length = start + len(chunk), length - len(chunk)
                yield chunk
        except OSError as error:
            raise Unavailable(f"cannot read the temporary file: {error.strerror or error}") from error
        finally:
            files.close(descriptor)

    def note_sent(self) -> None:
        """Note that the complete file was sent: it is removed if the same client needs the space for another one."""
        self._share.allow_removal(self.close)

    def close(self) -> None:
        """Remove the file; idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        files.close(descriptor)
        self._remove()
        self._share.close()

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class ReceivedFile:
    """A file that a client uploads.

    Attributes:
        path: Its path.
    """

    def __init__(self, folder: str, share: Share) -> None:
        self.path = os.path.join(folder, "upload")
        self._share = share
        self._size = 0
        self._descriptor = files.open_file(self.path, files.CREATE, 0o600, follow=False)

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            Unavailable: There is not enough space, or they cannot be written.
        """
        self._share.reserve(self._size + len(data))
        try:
            files.write_all(self._descriptor, data)
        except OSError as error:
            raise _unwritable(error) from error
        self._size += len(data)
        self._share.note_written(self._size)

    def complete(self) -> None:
        """End the upload."""
        descriptor, self._descriptor = self._descriptor, -1
        files.close(descriptor)


@contextlib.contextmanager
def receiving(size: int, client: str = "") -> Iterator[ReceivedFile]:
    """Yield a file to receive an upload, and remove it at the end.

    Args:
        size: Number of bytes that the client announces.
        client: Identity of the client; see `mreg.registry.temporary_space.Share`.

    Raises:
        Unavailable: There is not enough space, or the file cannot be created.
    """
    with _temporary_folder() as folder, contextlib.closing(Share(folder, client)) as share:
        share.check(size)
        try:
            file = ReceivedFile(folder, share)
        except OSError as error:
            raise _unwritable(error) from error
        try:
            yield file
        finally:
            file.complete()


def prepare_export(session: Session, reference: Reference, progress: Progress) -> tuple[Exported, PreparedFile]:
    """Export a version or a model to a file to download.

    The destination of the result is the name of the file. `progress` is called with the bytes of the bundle and then
    again while the file is hashed; it may raise to stop.

    Raises:
        MregError: As `mreg.Registry.export`; there is not enough space.
    """
    with _kept_folder() as folder, _kept_share(session, folder) as share:

        def advance(done: int, total: int) -> None:
            share.reserve(total)
            share.note_written(done)
            if progress is not None:
                progress(done, total)

        path = os.path.join(folder, "bundle")
        with path_in_errors(path, "bundle"):
            exported = export(session, reference, path, progress=advance)
        name = default_name(exported.reference)
        share.note_written(exported.size_bytes)
        file = PreparedFile(path, name, _hashed(path, exported.size_bytes, progress), folder, share)
        return replace(exported, destination=Path(name)), file


def prepare_backup(session: Session, progress: Progress) -> tuple[CatalogCopy, PreparedFile]:
    """Write a backup of the catalog to a file to download.

    Raises:
        MregError: As `mreg.Registry.backup`.
    """
    with _kept_folder() as folder, _kept_share(session, folder) as share:
        path = os.path.join(folder, "backup")
        with path_in_errors(path, BACKUP_NAME):
            copied = backup(session, path)
        size = os.path.getsize(path)
        share.note_written(size)
        file = PreparedFile(path, BACKUP_NAME, _hashed(path, size, progress), folder, share)
        return replace(copied, target=BACKUP_NAME), file


def remove_leftovers() -> None:
    """Remove the temporary folders of this user's servers that were killed; without file locks, none."""
    if not files.has_locks():
        return
    place = tempfile.gettempdir()
    with contextlib.suppress(OSError):
        for name in os.listdir(place):
            if not name.startswith(PREFIX):
                continue
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):
                descriptor = files.open_folder(path, follow=False)
                try:
                    if os.fstat(descriptor).st_uid == os.geteuid() and files.lock(descriptor, wait=False):
                        shutil.rmtree(path, ignore_errors=True)
                finally:
                    files.close(descriptor)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    """Yield a private folder that is locked, and remove it at the end."""
    with _kept_folder() as folder:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _kept_folder() -> Iterator[str]:
    """Yield a private folder that is locked; it is removed only if the body raises."""
    descriptor = -1
    folder = ""
    try:
        for _ in range(TRIES):
            folder = tempfile.mkdtemp(prefix=PREFIX)
            descriptor = files.open_folder(folder, follow=False)
            if _is_locked(descriptor, folder):
                break
            files.close(descriptor)
    except OSError as error:
        files.close(descriptor)
        raise _unwritable(error) from error
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        files.close(descriptor)


def _is_locked(descriptor: int, folder: str) -> bool:
    """Lock a new folder; return whether it still exists, or whether the system has no locks."""
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        return not files.lock(descriptor, wait=False) or os.path.samestat(os.fstat(descriptor), os.lstat(folder))
    return False


@contextlib.contextmanager
def _kept_share(session: Session, folder: str) -> Iterator[Share]:
    """Yield the share of a file of the session's client; it is closed only if the body raises."""
    share = Share(folder, "" if session.client is None else session.counts_as)
    try:
        yield share
    except BaseException:
        share.close()
        raise


def _hashed(path: str, size: int, progress: Progress) -> Digest:
    with open(path, "rb", buffering=0) as stream, Hashing(size) as hashing:
        done = 0
        while chunk := stream.read(CHUNK_BYTES):
            hashing.add(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, size)
        return hashing.digest()


def _unwritable(error: OSError) -> Unavailable:
    return Unavailable(f"cannot write temporary files on the server: {error.strerror or error}", hint=ELSEWHERE)
