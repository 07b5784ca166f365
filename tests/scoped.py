"""A registry with models of two teams that are linked in every way, for tests of clients that are limited to one team.

All that the limited client must not see has `CANARY` in it, or is one of `World.digests` and `World.hashes`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import mreg
from mreg.domain.model import ModelVersion
from mreg.domain.policy import parse_policy
from mreg.domain.scope import ModelScope
from mreg.errors import NotFound
from mreg.registry.local import LocalRegistry

SCOPE = ModelScope(("team-a/*",))
CANARY = re.compile("zz.hidden", re.IGNORECASE)
HIDDEN, ABSENT = "zz-hidden/base", "zz-absent/base"
"""A model that the limited client must not see, and a name that no model ever had."""

INSIDE = ("team-a/churn", "team-a/fraud", "team-a/moved")


@dataclass(frozen=True)
class World:
    """The registry, and what the limited client must not see.

    Attributes:
        whole: The registry without a limit.
        limited: The registry of the limited client.
        digests: Digests of bytes that only hidden versions have.
        hashes: Hashes of all events: with them, a client could test guesses about hidden events.
    """

    whole: LocalRegistry
    limited: LocalRegistry
    digests: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)

    def leaks(self, shown: str) -> list[str]:
        """Return what a text shows although the limited client must not see it."""
        found = CANARY.findall(shown)
        found += [digest for digest in self.digests if digest[:20] in shown]
        return found + [each for each in self.hashes if each[:20] in shown]


def new_world(registry: LocalRegistry) -> World:
    """Fill an empty registry."""
    hidden, team = registry.acting_as("zz-hidden-user"), registry.acting_as("team")
    world = World(registry, registry.acting_as("limited", scope=SCOPE))

    def push(name: str, content: str, by: LocalRegistry = team, **more: object) -> ModelVersion:
        path = Path("model.pkl")
        path.write_text(content)
        version = by.push(path, name=name, **more)  # type: ignore[arg-type]
        if by is hidden and "shared" not in content:
            world.digests.add(version.artifact.digest.value)
        return version

    secret = {
        "metrics": {"accuracy": 0.9, "zz_hidden_metric": 1.0},
        "tags": {"zz-hidden-tag": "zz-hidden-value"},
        "aliases": ["zz-hidden-alias"],
        "parameters": {"zz-hidden-parameter": "1"},
        "description": "zz-hidden words",
        "data": {"zz-hidden-data": "s3://zz-hidden/data"},
        "run_id": "zz-hidden-run",
    }
    base = push(HIDDEN, "hidden 1", hidden, stage="Staging", **secret)
    lost = push(HIDDEN, "hidden 2", hidden, metrics={"accuracy": 0.1})
    push(HIDDEN, "shared", hidden)
    hidden.tag(HIDDEN, add={"zz-hidden-model-tag": "1"})
    hidden.edit(HIDDEN, description="zz-hidden model", primary_metric="zz_hidden_metric")
    push("team-a/churn", "churn 1", metrics={"accuracy": 0.8}, parent=base, aliases=["champion"], stage="Staging")
    push("team-a/churn", "churn 2", metrics={"accuracy": 0.7}, parent="team-a/churn@1")
    push("team-a/churn", "churn 3", metrics={"accuracy": 0.6}, parent=lost)
    hidden.delete(lost, force=True)
    child = push("zz-hidden/child", "hidden 3", hidden, parent="team-a/churn@1")
    push("team-a/fraud", "fraud 1", metrics={"auc": 0.5}, parent=child, tags={"team": "a"})
    push("team-a/fraud", "shared")
    team.edit("team-a/fraud@2", parent=base)
    team.edit("team-a/fraud@2", parent="team-a/churn@2")
    team.edit("team-a/fraud@2", parent=base)
    push("zz-hidden/moved", "moved 1", stage="Staging")
    team.promote("zz-hidden/moved@1", "Production")
    team.rename("zz-hidden/moved", "team-a/moved")
    push("team-a/gone", "gone 1")
    team.rename("team-a/gone", "zz-hidden/gone")
    push("team-a/deleted", "deleted 1", parent=base)
    team.delete("team-a/deleted", force=True)
    push("zz-hidden/deleted", "hidden 4", hidden)
    hidden.delete("zz-hidden/deleted", force=True)
    team.apply_policy(
        parse_policy({"Production": {"from": "Staging", "approvals": 1, "approvers": ["lead", "limited"]}})
    )
    hidden.apply_policy(parse_policy({"Production": {"approvals": 1, "approvers": ["zz-hidden-lead"]}}), HIDDEN)
    world.hashes.update(event.hash for event in registry.history())
    return world


@dataclass(frozen=True)
class Template:
    """The files of a filled registry, and what a limited client must not see of it; see `World`."""

    folder: Path
    digests: set[str]
    hashes: set[str]


def new_template(folder: Path) -> Template:
    """Fill a registry in an empty folder, which is also the working folder."""
    with mreg.open_registry(catalog=str(folder / "catalog.db"), artifacts=str(folder / "artifacts")) as registry:
        assert isinstance(registry, LocalRegistry)
        world = new_world(registry)
    return Template(folder, world.digests, world.hashes)


def copied_world(template: Template, registry: LocalRegistry) -> World:
    """Copy a filled registry to the places of one that was not used yet."""
    Path(registry.profile.catalog).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(template.folder / "catalog.db", registry.profile.catalog)
    shutil.copytree(template.folder / "artifacts", registry.profile.artifacts)
    limited = registry.acting_as("limited", scope=SCOPE)
    return World(registry, limited, set(template.digests), set(template.hashes))


def versions_of(registry: LocalRegistry, names: Iterable[str]) -> list[ModelVersion]:
    """Return all versions of models that exist."""
    found: list[ModelVersion] = []
    for name in names:
        try:
            found += registry.show(name).versions  # type: ignore[union-attr]
        except NotFound:
            continue
    return found
