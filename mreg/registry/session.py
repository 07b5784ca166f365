"""The session: everything that a use case works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from mreg.domain.scope import EVERYTHING, ModelScope

if TYPE_CHECKING:
    from mreg.artifacts.cached_artifacts import CachedArtifacts
    from mreg.artifacts.records import PullRecords
    from mreg.artifacts.store import ArtifactStore
    from mreg.catalog.catalog import Catalog
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Observer, Writer
    from mreg.domain.events import Event
    from mreg.domain.hook import Hook
    from mreg.results.changes import StageChange
    from mreg.results.deployments import DeploymentReport
    from mreg.results.profiles import Profile
    from mreg.results.tokens import Token

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HookLog:
    """The hooks that a registry ran for its changes, in order; optionally with the events of the changes.

    Attributes:
        deployments: Each run of a hook with its outcome.
        rollbacks: The rollbacks after failed hooks.
        events: The events that the changes recorded; None if they are not collected.
    """

    deployments: list[DeploymentReport] = field(default_factory=list)
    rollbacks: list[StageChange] = field(default_factory=list)
    events: list[Event] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """What moves bytes between a registry and this machine, for use cases that do not read the catalog.

    Attributes:
        artifacts: Returns the artifact store; a function, because most commands need no bytes.
        cached_artifacts: Returns the complete artifacts in the pull cache; a function, because few commands need them.
        notice: Receives notes for the user, such as what a reference resolved to, and warnings.
        pull_records: Returns the user's records of pulled folders, None without a home folder.
    """

    profile: Profile
    artifacts: Callable[[], ArtifactStore]
    cached_artifacts: Callable[[], CachedArtifacts]
    notice: Callable[[str], None]
    pull_records: Callable[[], PullRecords | None] = lambda: None

    def notices(self, *texts: str) -> None:
        """Give each text that is not empty to `notice`."""
        for text in filter(None, texts):
            self.notice(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Transfers):
    """The catalog, store, actor, clock and hooks of a registry.

    Attributes:
        actor: Returns the actor of events; a function, because reading commands need none.
        now: Returns the current time, aware UTC.
        hooks: Hooks that changes trigger, from the user's own profile.
        enqueued: Keys of the deployments that this session enqueued and has not run yet.
        hook_log: The hooks that this session ran, and the events of its changes.
        client: The token of the server's client who acts; None without a server, or if it needs no tokens.
        audience: The models that the events in the log may name, if not those of the catalog.
        served: Whether the caller is a client of a server, who cannot change its profile.
        hide: Returns a text without places of the server, for a client that may not see them; None otherwise.
    """

    catalog: Catalog
    actor: Callable[[], str]
    now: Callable[[], datetime]
    hooks: tuple[Hook, ...] = ()
    enqueued: set[str] = field(default_factory=set)
    hook_log: HookLog = field(default_factory=HookLog)
    client: Token | None = None
    audience: ModelScope | None = None
    served: bool = False
    hide: Callable[[str], str] | None = None

    @property
    def scope(self) -> ModelScope:
        """The models that exist for this session."""
        return self.catalog.scope

    @property
    def caller(self) -> str:
        """Identity of the caller, to which uploads and idempotency keys belong.

        It is that of the token, not its name: a token that is created again under the name of a revoked one is another
        caller. Without a token it is the actor; no name of a token has a space.
        """
        return self.actor() if self.client is None else f"token {self.client.digest}"

    @property
    def counts_as(self) -> str:
        """Identity with whose limits the space and the unfinished uploads of the caller count."""
        return self.actor() if self.client is None else f"token of {self.client.counts_as}"

    def unlimited(self) -> Session:
        """Return this session for all models, to run hooks; its log has only what this session may see."""
        if not self.scope.limited:
            return self
        return replace(self, catalog=self.catalog.within(EVERYTHING), audience=self.scope)

    def write(self, fn: Callable[[Writer], T], after: Callable[[Reader, T], T] | None = None) -> T:
        """Run ``fn`` in a transaction with this session's actor and time, and return its result.

        The triggered hooks run once the transaction is durable; `hook_log` has their outcomes.

        Args:
            after: Returns the result with the state after the hooks; called only if a hook ran. A hook can change the
                status of a version, roll its stage back, or run mreg commands.
        """
        if not self.hooks:
            return self.write_quietly(fn)
        value = self.write_and_enqueue(fn)
        from mreg.registry.deploy import deliver

        if deliver(self) and after is not None:
            return self.catalog.read(lambda reader: after(reader, value))
        return value

    def write_and_enqueue(self, fn: Callable[[Writer], T]) -> T:
        """`write` that enqueues the triggered hooks; `mreg.registry.deploy.deliver` runs them."""
        from mreg.catalog.deployments import DeploymentQueue

        queue = DeploymentQueue(self.hooks)

        def work(writer: Writer) -> T:
            queue.keys.clear()  # the transaction can be retried
            return fn(writer)

        value = self._write(work, queue)
        self.enqueued.update(queue.keys)
        return value

    def write_quietly(self, fn: Callable[[Writer], T]) -> T:
        """`write` without hooks, for the bookkeeping of hooks and garbage collection."""
        return self._write(fn)

    def _write(self, fn: Callable[[Writer], T], observer: Observer | None = None) -> T:
        """Run ``fn`` in a transaction; `hook_log` gets the events that it recorded."""
        recorded: list[Event] = []

        def observe(writer: Writer, event: Event) -> None:
            recorded.extend(writer.shown([event], self.audience))
            if observer is not None:
                observer(writer, event)

        def work(writer: Writer) -> T:
            recorded.clear()  # the transaction can be retried
            return fn(writer)

        value = self.catalog.write(work, actor=self.actor(), at=self.now(), observer=observe)
        if self.hook_log.events is not None:
            self.hook_log.events.extend(recorded)
        return value
