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
    from mreg.results.changes import StageChange
    from mreg.results.profiles import Profile

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A wired registry: where things are, who is acting, what time it is, and who wants to hear of it.

    Attributes:
        artifacts: Gives the artifact store; a function, since most commands never touch the bytes.
        actor: Gives the name that events carry; a function, since reading commands need none.
        now: The clock, aware UTC.
        hooks: What changes set off, from the user's own profile.
        pull_records: Gives the user's records of pulled folders; None if there is no home folder.
        set_off: Keys of the deployments that this session wrote down and has not run yet.
        delivered: Deployments that this session has brought to their end.
        undone: The rollbacks that this session made because a hook failed.
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
    delivered: list[Deployment] = field(default_factory=list)
    undone: list[StageChange] = field(default_factory=list)

    def write(self, fn: Callable[[Writer], T], after: Callable[[Reader, T], T] | None = None) -> T:
        """What ``fn`` gives in one transaction, with this session's actor and time in its events.

        The hooks that it sets off are run when it is durable; what came of them is in `delivered`.

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
        keys: list[str] = []

        def work(writer: Writer) -> T:
            value = fn(writer)
            keys[:] = writer.set_off  # of the last try, if there were several
            return value

        value = self.catalog.write(work, actor=self.actor(), at=self.now(), hooks=self.hooks)
        self.set_off.update(keys)
        return value

    def write_quietly(self, fn: Callable[[Writer], T]) -> T:
        """`write` without hooks: for what hooks themselves do to the catalog."""
        return self.catalog.write(fn, actor=self.actor(), at=self.now())
