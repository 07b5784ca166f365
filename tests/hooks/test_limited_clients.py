"""Hooks of a server for clients that are limited to some models: they run for all, and each client hears of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import mreg
from mreg.domain.events import has_right_hash
from mreg.domain.hook import DeploymentStatus
from mreg.errors import NotAllowed
from mreg.registry import deploy
from mreg.registry.local import LocalRegistry
from mreg.registry.session import HookLog
from mreg.wire import encode
from tests.hooks.test_hooks import hooks
from tests.scoped import HIDDEN, SCOPE, World, new_world


@pytest.fixture(autouse=True)
def _no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CONFIG", "")  # `hooks` changes it


@pytest.fixture
def world() -> Iterator[World]:
    hooks("{name: tell, stage: Staging, command: [sh, -c, 'echo $MREG_REFERENCE >> told; test ! -e broken']}")
    with mreg.open_registry() as registry:
        assert isinstance(registry, LocalRegistry)
        yield new_world(registry)
        registry.verify_audit()


def test_deployments_of_other_models_run_without_a_word_to_a_limited_client(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(deploy, "deliver", lambda _session: ())  # this process dies after its change
        world.whole.promote("zz-hidden/child@1", "Staging")
        world.whole.promote(f"{HIDDEN}@3", "Staging")
    Path("told").unlink()
    Path("broken").touch()
    notices: list[str] = []
    log = HookLog(events=[])
    limited = world.whole.acting_as("limited", notices.append, log, scope=SCOPE)
    limited.promote("team-a/churn@2", "Staging")
    assert Path("told").read_text().split() == ["team-a/churn@2", "zz-hidden/child@1", f"{HIDDEN}@3"]
    assert notices == ["the hook tell failed for team-a/churn@2 in Staging: exit code 1, no output"]
    assert [report.reference for report in log.deployments] == ["team-a/churn@2"]
    shown = json.dumps([encode(one) for one in (*log.deployments, *(log.events or ()))])
    assert not world.leaks(shown)
    assert log.events
    assert not [event.hash for event in world.whole.history() if event.hash[:20] in shown]
    assert all(map(has_right_hash, log.events))
    (deployment,) = world.whole.deployments(HIDDEN, limit=1)
    assert deployment.status is DeploymentStatus.FAILED and deployment.outcome == 1


def test_a_limited_client_deploys_again_under_a_former_name(world: World) -> None:
    Path("told").unlink()
    lead = world.whole.acting_as("lead")
    lead.rename("team-a/moved", "zz-hidden/moved")
    lead.promote("zz-hidden/moved@1", "Staging")
    lead.rename("zz-hidden/moved", "team-a/moved")
    notices: list[str] = []
    limited = world.whole.acting_as("limited", notices.append, scope=SCOPE)
    (report,) = limited.deploy("team-a/moved@1")
    assert report.status is DeploymentStatus.DEPLOYED
    assert not world.leaks(json.dumps([encode(each) for each in limited.deployments("team-a/moved")]))
    assert not notices


def test_a_failed_hook_rolls_a_change_of_a_limited_client_back() -> None:
    hooks("{name: tell, stage: Staging, command: [sh, -c, 'test ! -e broken'], on_failure: rollback}")
    with mreg.open_registry() as registry:
        assert isinstance(registry, LocalRegistry)
        world = new_world(registry)
        Path("broken").touch()
        log = HookLog(events=[])
        limited = world.whole.acting_as("limited", scope=SCOPE, hook_log=log)
        change = limited.promote("team-a/churn@3", "Staging")
        assert change.rolled_back
        assert [str(back.version.reference) for back in log.rollbacks] == ["team-a/churn@1"]
        shown = [change, *log.rollbacks, *log.deployments, *(log.events or ())]
        assert not world.leaks(json.dumps([encode(one) for one in shown]))


def test_a_client_of_a_server_without_a_hook_is_told_what_it_can_do(world: World) -> None:
    world.limited.archive("team-a/churn@2")
    with pytest.raises(NotAllowed, match=r"^no hook of the server matches team-a/churn@2 in Archived$") as caught:
        world.limited.deploy("team-a/churn@2")
    assert caught.value.hint == "operator of the server: define a hook in the profile file of the server's account"
