"""What a process of a crowd does; see test_crowd.py."""

from __future__ import annotations

import os
import random
from pathlib import Path

import mreg
from mreg.domain.model import ModelStage
from mreg.results.models import ModelVersions

NAMES = ("m", "n")


def live(seed: int, steps: int) -> None:
    """One process's life: whatever chance picks; what the registry refuses in its own words is fine."""
    os.environ["MREG_USER"] = f"w{seed}"
    chance = random.Random(seed)
    path = Path(f"f{seed}")
    with mreg.open_registry() as registry:
        for step in range(steps):
            name = chance.choice(NAMES)
            some = f"{name}@{chance.randint(1, 12)}"
            path.write_text(f"{seed} {step}" if chance.random() < 0.7 else "the same")
            action = chance.choice(
                ["push", "push", "push", "promote", "promote", "production", "archive", "rollback", "alias", "delete",
                 "rename", "tag", "edit", "pull", "show"]
            )  # fmt: skip
            try:
                if action == "push":
                    registry.push(path, name=name, stage=chance.choice([None, None, "staging", "production"]))
                elif action == "promote":
                    registry.promote(some)
                elif action == "production":
                    registry.promote(some, to="production")
                elif action == "archive":
                    registry.archive(some)
                elif action == "rollback":
                    registry.rollback(name)
                elif action == "alias":
                    registry.set_alias(some, chance.choice(["champ", "old"]))
                elif action == "delete":
                    registry.delete(some, force=chance.random() < 0.3)
                elif action == "rename":
                    registry.rename(name, chance.choice([*NAMES, "o"]))
                elif action == "tag":
                    registry.tag(some, add={"by": str(seed)})
                elif action == "edit":
                    registry.edit(some, parent=f"{chance.choice(NAMES)}@{chance.randint(1, 12)}")
                elif action == "pull":
                    pulled = registry.pull(some, f"out{seed}-{step}")
                    assert pulled.destination.read_bytes()
                else:
                    shown = registry.show(name)
                    assert isinstance(shown, ModelVersions)
                    for stage in (ModelStage.STAGING, ModelStage.PRODUCTION):
                        assert [version.stage for version in shown.versions].count(stage) <= 1
            except (mreg.NotFound, mreg.NotAllowed, mreg.AlreadyExists, mreg.Conflict):
                pass
