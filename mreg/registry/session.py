"""What every use case works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mreg.artifacts.records import PullRecords
    from mreg.artifacts.store import ArtifactStore
    from mreg.catalog.catalog import Catalog
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.hook import Deployment, Hook
    from mreg.results.profiles import Profile
    from mreg.results.stages import StageChange

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HookLog:
    """The hooks that a registry ran for its changes, in order.

    Attributes:
        deployments: Each run with its outcome.
        rollbacks: The stage changes that undid a change because its hook failed.
    """

    deployments: list[Deployment] = field(default_factory=list)
    rollbacks: list[StageChange] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A wired registry: where things are, who is acting, what time it is, and who wants to hear of it.

    Attributes:
        artifacts: Gives the artifact store; a function, since most commands never touch the bytes.
        actor: Gives the name that events carry; a function, since reading commands need none.
        now: The clock, aware UTC.
        hooks: What changes set off, from the user's own profile.
        pull_records: Gives the user's records of pulled folders; None if there is no home folder.
        set_off: Keys of the deployments that this session enqueued and has not run yet.
        hook_log: The hooks that this session ran.
        notice: Takes what a person should know beside the result: what a reference resolved to, a warning.
    """

    profile: Profile
    catalog: Catalog
    artifacts: Callable[[], ArtifactStore]
    actor: Callable[[], str]
    now: Callable[[], datetime]
    notice: Callable[[str], None]

    hooks: tuple[Hook, ...] = ()
    pull_records: Callable[[], PullRecords | None] = lambda: None
    set_off: set[str] = field(default_factory=set)
    hook_log: HookLog = field(default_factory=HookLog)

    def write(self, fn: Callable[[Writer], T], after: Callable[[Reader, T], T] | None = None) -> T:
        """What ``fn`` gives in one transaction, with this session's actor and time in its events.

        The hooks that it sets off are run when it is durable; their outcomes are in `hook_log`.

        Args:
            after: Returns the result with the state after the hooks; called only if a hook was run. A hook can change
                the status of a version, roll its stage back, or run mreg commands.
        """
        if not self.hooks:
            return self.write_quietly(fn)
        value = self.write_down(fn)
        from mreg.registry.deploy import deliver

        if deliver(self) and after is not None:
            return self.catalog.read(lambda reader: after(reader, value))
        return value

    def write_down(self, fn: Callable[[Writer], T]) -> T:
        """`write` that leaves the hooks that it triggers to `mreg.registry.deploy.deliver`."""
        from mreg.catalog.deployments import DeploymentQueue

        queue = DeploymentQueue(self.hooks)

        def work(writer: Writer) -> T:
            queue.keys.clear()  # the transaction may be retried
            return fn(writer)

        value = self.catalog.write(work, actor=self.actor(), at=self.now(), observer=queue)
        self.set_off.update(queue.keys)
        return value

    def write_quietly(self, fn: Callable[[Writer], T]) -> T:
        """`write` without hooks: for what hooks themselves do to the catalog."""
        return self.catalog.write(fn, actor=self.actor(), at=self.now())
