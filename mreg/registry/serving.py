"""Serving: the operations of a registry that a server needs beside those of the commands, each in its module behind."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from mreg.artifacts.incoming import Incoming
    from mreg.domain.metrics import MetricValue
    from mreg.domain.model import ModelStage, ModelVersion
    from mreg.domain.names import ModelName, VersionRef
    from mreg.registry.session import Session
    from mreg.results.files import StoredFile
    from mreg.results.upkeep import Check


class Serving:
    """What `mreg.Registry` does for clients that have no path here."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def acting_as(self, actor: str, notice: Callable[[str], None] = lambda _text: None) -> Self:
        """The same registry in the hands of somebody else; see `mreg.registry.streaming.acting_as`."""
        from mreg.registry.streaming import acting_as

        return type(self)(acting_as(self._session, actor, notice))

    @property
    def actor(self) -> str:
        """Whose name events carry."""
        return self._session.actor()

    def receiving(self, size: int = 0) -> AbstractContextManager[Incoming]:
        """Room for a file that comes from a stream, for `push_received`; dropped unless it is pushed.

        Args:
            size: How many bytes are expected, 0 where that is not known.
        """
        return self._session.artifacts().receiving(size)

    def push_received(
        self,
        incoming: Incoming,
        file_name: str,
        name: ModelName | str,
        *,
        metrics: Mapping[str, MetricValue] | None = None,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        aliases: Iterable[str] = (),
        stage: ModelStage | str | None = None,
        description: str = "",
        run_id: str = "",
        experiment_id: str = "",
        parent: VersionRef | str | None = None,
        data: Mapping[str, str] | None = None,
        format: str = "",
    ) -> ModelVersion:
        """Make a received file the next version of a registered model; see `mreg.registry.push.push_received`."""
        from mreg.domain.names import ModelName
        from mreg.registry.push import Attachments, push_received

        attachments = Attachments(
            description=description, metrics=metrics or {}, parameters=parameters or {}, tags=tags or {},
            data=data or {}, aliases=tuple(aliases), run_id=run_id, experiment_id=experiment_id, format=format,
        )  # fmt: skip
        target = ModelName(name) if isinstance(name, str) else name
        return push_received(self._session, incoming, file_name, target, attachments, stage=stage, parent=parent)

    def files(self, reference: VersionRef | str) -> tuple[StoredFile, ...]:
        """The files of a version; see `mreg.registry.streaming.files`."""
        from mreg.registry.streaming import files

        return files(self._session, reference)

    def file(self, reference: VersionRef | str, path: str | None = None) -> StoredFile:
        """One file of a version; see `mreg.registry.streaming.file`."""
        from mreg.registry.streaming import file

        return file(self._session, reference, path)

    def read_file(self, file: StoredFile, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """The bytes of a file, chunk by chunk; see `mreg.registry.streaming.read_file`."""
        from mreg.registry.streaming import read_file

        return read_file(self._session, file, start, length)

    def reachable(self) -> tuple[Check, ...]:
        """Whether catalog and store answer; see `mreg.registry.check.reachable`."""
        from mreg.registry.check import reachable

        return reachable(self._session)
