"""The artifact of an upload to a server: one file, or a folder as files or as a tar."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from mreg.artifacts.tar_folder import TarFolder
from mreg.domain.names import ModelName
from mreg.domain.paths import check_artifact_name
from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.registry.local import LocalRegistry
from mreg.registry.push import check_file_name

if TYPE_CHECKING:
    from mreg.artifacts.folder_upload import FolderUpload
    from mreg.artifacts.stream_upload import StreamUpload


class IncomingArtifact:
    """Receives the artifact of a request; a context manager that discards the bytes if they were not pushed.

    It begins with a file, with a tar, or with the first of several files of a folder. The methods wait for disks and
    networks.

    Args:
        size: Size of the request in bytes, 0 if unknown.
    """

    def __init__(self, registry: LocalRegistry, size: int) -> None:
        self._registry = registry
        self._size = size
        self._opened = ExitStack()
        self._name = ""
        self._file: StreamUpload | None = None
        self._folder: FolderUpload | None = None
        self._tar: TarFolder | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def begin_file(self, name: str) -> None:
        """Begin a file.

        Args:
            name: File name of the client; folders in it are removed.

        Raises:
            BadInput: The name is invalid.
            Unavailable: The store has too little free space.
        """
        self._name = check_file_name(name)
        self._file = self._opened.enter_context(self._registry.open_upload(self._size))

    def begin_folder_file(self, path: bytes) -> None:
        """Begin a file of a folder.

        Raises:
            BadInput: The path is invalid or repeated, or the folder has too many files.
            Unavailable: The store has too little free space.
        """
        try:
            text = path.decode()
        except UnicodeDecodeError:
            shown = quoted(path.decode("utf-8", "replace"))
            raise BadInput(f"the file name {shown} is not valid UTF-8", hint="rename the file") from None
        self._open_folder().begin(text)

    def begin_tar(self) -> None:
        """Begin a folder that arrives as a tar.

        Raises:
            Unavailable: The store has too little free space.
        """
        self._tar = TarFolder(self._open_folder())

    def _open_folder(self) -> FolderUpload:
        if self._folder is None:
            self._folder = self._opened.enter_context(self._registry.open_folder_upload(self._size))
        return self._folder

    def write(self, data: bytes | memoryview) -> None:
        """Receive the next bytes of the file or tar, which the caller must not change afterwards.

        Raises:
            BadInput: The tar is invalid.
            Unavailable: The bytes cannot be written.
        """
        if self._file is not None:
            self._file.write(data)
        elif self._tar is not None:
            self._tar.feed(data)
        elif self._folder is not None:
            self._folder.write(data)

    def end(self) -> None:
        """End the file or tar.

        Raises:
            BadInput: The tar is incomplete.
            Unavailable: The file cannot be written.
        """
        if self._tar is not None:
            self._tar.finish()
        elif self._folder is not None:
            self._folder.end()

    def finish(
        self, model: ModelName, name: str, executables: Iterable[str]
    ) -> tuple[StreamUpload | FolderUpload, str] | None:
        """Return the complete upload with the name of the artifact; None if nothing has begun.

        Args:
            name: Name of the artifact (default: the name of the file; for a folder the last part of the model's name).
            executables: Paths of executable files of a folder.

        Raises:
            BadInput: The folder has no such file, the artifact is a file, or the name is invalid.
        """
        upload = self._file or self._folder
        if upload is None:
            return None
        if self._folder is not None:
            self._folder.set_executable(executables)
        elif any(executables):
            raise BadInput("executable files can be named only for a folder")
        return upload, check_artifact_name(name or self._name or model.value.rpartition("/")[2])
