"""Deployments that another person wrote into a catalog run no hook of the user and choose nothing that one is told."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from mreg.catalog.deployments import OPEN_LIMIT
from mreg.domain.events import Event, chained, details_text, time_text
from mreg.registry import deploy as deploy_module
from tests.conftest import Mreg, local_registry
from tests.hostile import attack, printable_only
from tests.servers import PostgresqlServer

TELL = "[sh, -c, 'echo \"$MREG_EVENT $MREG_REFERENCE $MREG_STAGE\" >> log']"
DEPLOY = f"{{name: deploy, stage: Production, models: 'classifier*', command: {TELL}}}"
ON = f"{{name: deploy, on: [alias.set], models: 'classifier*', command: {TELL}}}"


def hooks(*texts: str, catalog: str | None = "catalog.db") -> None:
    """Write the user's profile file; its default profile has these hooks and names this catalog."""
    named = f"    catalog: {catalog}\n" if catalog else ""
    Path("config.yaml").write_text(
        f"default: prod\nprofiles:\n  plain: {{catalog: catalog.db}}\n  prod:\n{named}    hooks:\n"
        + "".join(f"      - {text}\n" for text in texts)
    )
    os.environ["MREG_CONFIG"] = str(Path("config.yaml").absolute())


@pytest.fixture
def pushed(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> Mreg:
    """Two versions of classifier (the first in Production) and one of junk, by a profile without hooks."""
    monkeypatch.setenv("MREG_CONFIG", "")
    monkeypatch.setenv("MREG_CATALOG", str(Path("catalog.db").absolute()))
    for name, content in (("classifier", "1"), ("classifier", "2"), ("junk", "3")):
        Path("model").write_text(content)
        assert command("push", "model", "-n", name).code == 0
    assert command("promote", "classifier@1", "--to", "production").code == 0
    return command


def said() -> list[str]:
    """What the hooks were told, a line each time."""
    return Path("log").read_text().splitlines() if Path("log").exists() else []


class Planter:
    """Writes to a catalog as an attacker does: not through mreg."""

    def __init__(self, path: str = "catalog.db") -> None:
        self.raw = sqlite3.connect(path)
        self.raw.row_factory = sqlite3.Row

    def __del__(self) -> None:
        self.raw.close()

    def last(self) -> Event:
        row = self.raw.execute("SELECT * FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        at = datetime.fromisoformat(row["at"][:-1]).replace(tzinfo=UTC)
        return Event(**{**dict(row), "at": at, "details": json.loads(row["details"])})

    def event(
        self,
        action: str = "version.stage_changed",
        details: dict[str, object] | None = None,
        model: str = "classifier",
        model_id: int = 1,
        version: int | None = 2,
        digest: str = "",
    ) -> Event:
        """Append an event whose hash is right, unless another one is given."""
        given = {"from": "None", "to": "Production"} if details is None else details
        event = chained(
            self.last(),
            at=datetime.now(UTC),
            actor="x",
            action=action,
            details=given,
            model_id=model_id,
            model=model,
            version=version,
        )
        with self.raw:
            self.raw.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (event.seq, time_text(event.at), event.actor, action, model_id, model, version, details_text(given),
                 event.previous, digest or event.hash),
            )  # fmt: skip
        return event

    def row(self, event: Event, number: int = 1, **changes: object) -> None:
        """Plant a pending deployment of an event."""
        values = {
            "key": f"{event.hash[:32]}.{number}", "hook": "deploy", "seq": event.seq, "model_id": event.model_id,
            "version": event.version, "status": "pending", "attempts": 0, "output": "",
            "created_at": time_text(event.at), **changes,
        }  # fmt: skip
        names = ", ".join(values)
        with self.raw:
            self.raw.execute(
                f"INSERT INTO deployments ({names}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
            )

    def stage(self, stage: str, version: int = 2, model_id: int = 1) -> None:
        with self.raw:
            self.raw.execute(
                "UPDATE versions SET stage = ? WHERE model_id = ? AND version = ?", (stage, model_id, version)
            )

    def entered(self) -> Event:
        """The event by which classifier@1 entered Production."""
        return self.last()

    def rows(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.raw.execute("SELECT * FROM deployments ORDER BY deployment_id")]


def other_place(to: object) -> Callable[[Planter], None]:
    def planted(planter: Planter) -> None:
        planter.row(planter.event(details={"from": "None", "to": to}))

    return planted


def of_junk(planter: Planter) -> None:
    event = planter.event(model="junk", model_id=2, version=1)
    planter.stage("Production", 1, 2)
    planter.row(event)


def of_junk_as_classifier(planter: Planter) -> None:
    event = planter.event(model_id=2, version=1)
    planter.stage("Production", 1, 2)
    planter.row(event)


def edited(planter: Planter) -> None:
    """An event in the middle of the trail is changed, and its own hash computed again."""
    planter.stage("Production")
    first = planter.event()
    planter.event("version.edited", {})
    with planter.raw:
        planter.raw.execute("UPDATE events SET hash = ? WHERE seq = ?", (planter.last().hash, first.seq))
    planter.row(first, key=f"{planter.last().hash[:32]}.1")


def wrong_hash(planter: Planter) -> None:
    planter.stage("Production")
    planter.row(planter.event(digest="ab" * 32), key=f"{'ab' * 16}.1")


PLANTED: dict[str, Callable[[Planter], None]] = {
    "an event with a wrong hash": wrong_hash,
    "an event that is not in the chain": edited,
    "a version that is not in the stage": other_place("Production"),
    "free text": other_place("Production; touch here"),
    "an escape sequence": other_place("\x1b[2J"),
    "a stage in another case": other_place("PRODUCTION"),
    "a list": other_place(["Production"]),
    "another stage": other_place("Archived"),
    "another model": of_junk,
    "another model under the name of a wanted one": of_junk_as_classifier,
    "an event of another version": lambda one: one.row(one.entered(), version=2),
    "an event of another model": lambda one: one.row(one.entered(), model_id=2),
    "no event": lambda one: one.row(one.entered(), seq=999),
    "another action": lambda one: one.row(one.event("version.pushed", {"to": "Production"})),
    "an unknown action": lambda one: one.row(one.event("version.stage_changed; x")),
    "no version": lambda one: one.row(one.event(version=None)),
    "a key of another event": lambda one: one.row(one.entered(), key=f"{'cd' * 16}.1"),
    "a key that is none": lambda one: one.row(one.entered(), key="x y"),
    "a time that is none": lambda one: one.row(one.entered(), created_at="\x1b[2J"),
    "bytes for its output": lambda one: one.row(one.entered(), output=b"\0"),
    "all attempts used": lambda one: one.row(one.entered(), attempts=2**31 - 1),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_deployment_is_refused_once_with_a_note(what: str, pushed: Mreg) -> None:
    hooks(DEPLOY[:-1] + ", on_failure: rollback}")
    planter = Planter()
    PLANTED[what](planter)
    before = [row["stage"] for row in planter.raw.execute("SELECT stage FROM versions ORDER BY version_id")]
    done = pushed("tag", "classifier@1", "a=b")
    assert (done.code, said()) == (0, []), done
    assert done.err.count("the hook deploy was not run for 1 deployment of this catalog: ") == 1, done.err
    assert printable_only(done.err.encode())
    assert [(row["status"], row["attempts"] % (2**31 - 1)) for row in planter.rows()] == [("failed", 0)]
    assert [row["stage"] for row in planter.raw.execute("SELECT stage FROM versions ORDER BY version_id")] == before
    for words in (("tag", "classifier@1", "a=c"), ("deploy", "--pending")):
        done = pushed(*words)
        assert (done.code, "was not run" in done.err, said()) == (0, False, [])


@pytest.mark.parametrize("what", ["an event with a wrong hash", "another model", "free text", "a time that is none"])
@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_a_planted_deployment_is_refused_by_deploy_pending(what: str, quiet: tuple[str, ...], pushed: Mreg) -> None:
    hooks(DEPLOY)
    PLANTED[what](Planter())
    done = pushed("deploy", "--pending", *quiet)
    assert (done.code, "was not run for 1 deployment" in done.err, said()) == (0, True, [])


def test_a_hook_for_actions_is_run_for_its_actions_alone(pushed: Mreg) -> None:
    hooks(ON)
    planter = Planter()
    planter.row(planter.entered())
    planter.row(planter.event("alias.set", {"alias": "x"}, model="junk", model_id=2, version=1))
    done = pushed("tag", "classifier@1", "a=b")
    assert (said(), "was not run for 2 deployments of this catalog" in done.err) == ([], True)
    pushed("alias", "classifier@1", "champion")
    assert said() == ["alias.set classifier@1 "]


def test_a_change_that_a_later_one_superseded_is_still_told(pushed: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks(DEPLOY)
    with monkeypatch.context() as dying:
        dying.setattr(deploy_module, "deliver", lambda _session: ())
        pushed("promote", "classifier@2", "--to", "production")
    pushed("promote", "classifier@1", "--to", "production")
    assert said() == [f"version.stage_changed classifier@{number} Production" for number in (2, 1)]


def test_a_deployment_of_a_model_that_was_renamed_is_run(pushed: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks(DEPLOY)
    with monkeypatch.context() as dying:
        dying.setattr(deploy_module, "deliver", lambda _session: ())
        pushed("promote", "classifier@2", "--to", "production")
        pushed("rename", "classifier", "ranker", "--yes")
    assert pushed("deploy", "--pending").code == 0
    assert said() == ["version.stage_changed classifier@2 Production"]


def test_many_planted_deployments_do_not_hold_a_command_up_or_hide_its_own(pushed: Mreg) -> None:
    hooks(DEPLOY)
    planter = Planter()
    event = planter.event("version.stage_changed", {"to": "Production", "x": "y" * 1_000_000})
    with planter.raw:
        planter.raw.executemany(
            "INSERT INTO deployments (key, hook, seq, model_id, version, status, attempts, output, created_at) "
            "VALUES (?, 'deploy', ?, 1, 2, 'pending', 0, '', ?)",
            ((f"{event.hash[:32]}.{number}", event.seq, time_text(event.at)) for number in range(1, 20_001)),
        )
    # The trail now says that classifier@2 is in Production, which the catalog does not: this change makes it true.
    outcome = attack("promote", "classifier@1", "--to", "archived", "--yes")
    assert (outcome.code, said(), len(outcome.err.splitlines()) < 6) == (0, [], True), outcome
    outcome = attack("promote", "classifier@1", "--to", "production")
    assert (outcome.code, said()) == (0, ["version.stage_changed classifier@1 Production"]), outcome
    assert len(outcome.err.splitlines()) < 6


def test_deployments_that_hold_are_run_a_bounded_number_at_a_time(pushed: Mreg) -> None:
    hooks(DEPLOY.replace(TELL, "['true']"))
    planter = Planter()
    for number in range(OPEN_LIMIT + 5):
        planter.row(planter.entered(), number + 1)
    done = pushed("tag", "junk@1", "a=b")
    assert [row["status"] for row in planter.rows()] == ["deployed"] * OPEN_LIMIT + ["pending"] * 5
    assert "more deployments of the hook deploy are pending; to run them: mreg deploy --pending\n" in done.err


# Which catalog


def test_hooks_do_not_run_for_a_catalog_that_the_profile_does_not_name(
    pushed: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks(DEPLOY, catalog="own.db")
    planter = Planter()
    planter.row(planter.entered())
    for words in (
        ("tag", "junk@1", "a=b"),
        ("deploy", "--pending"),
        ("deploy", "--pending", "-q"),
        ("promote", "classifier@2", "--to", "production"),
    ):
        done = pushed(*words)
        assert (done.code, said()) == (0, [])
        assert (
            "the hooks of the profile prod do not run: the catalog or the artifacts come from MREG_CATALOG\n"
            in done.err
        )
    assert [row["status"] for row in planter.rows()] == ["pending"]
    monkeypatch.delenv("MREG_CATALOG")
    notes: list[str] = []
    with local_registry(catalog="catalog.db", notice=notes.append) as registry:
        registry.promote("classifier@1", to="Production")
    assert (said(), ["do not run" in note for note in notes][:1]) == ([], [True])


def test_hooks_do_not_run_for_other_artifacts_than_those_of_the_profile(
    pushed: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks(DEPLOY)
    monkeypatch.setenv("MREG_ARTIFACTS", str(Path("elsewhere").absolute()))
    done = pushed("promote", "classifier@2", "--to", "production")
    assert (done.code, said(), "do not run" in done.err) == (0, [], True)


def test_a_profile_that_names_no_catalog_runs_hooks_for_its_own_changes_alone(pushed: Mreg) -> None:
    hooks(DEPLOY, catalog=None)
    planter = Planter()
    planter.row(planter.entered())
    done = pushed("deploy", "--pending")
    assert (done.code, said()) == (0, [])
    assert "deployments of the hook deploy are not run: the profile prod has no catalog\n" in done.err
    pushed("promote", "classifier@2", "--to", "production")
    assert said() == ["version.stage_changed classifier@2 Production"]
    assert pushed("deploy", "classifier@2").code == 0
    assert len(said()) == 2
    assert [row["status"] for row in planter.rows()] == ["pending", "deployed", "deployed"]


def test_another_profile_that_names_a_project_s_store_does_not_make_the_hooks_of_its_profile_run(
    pushed: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks(DEPLOY, catalog="own.db")
    monkeypatch.delenv("MREG_CATALOG")
    Path("mreg.yaml").write_text("profile: prod\ncatalog: catalog.db\n")
    planter = Planter()
    planter.row(planter.entered())
    for words in (("tag", "junk@1", "a=b"), ("promote", "classifier@2", "--to", "production")):
        done = pushed(*words)
        assert (done.code, said(), "the hooks of the profile prod do not run" in done.err) == (0, [], True)
    pushed("trust")
    done = pushed("promote", "classifier@1", "--to", "production")
    assert "do not run" not in done.err
    assert said() == ["version.stage_changed classifier@1 Production"] * 2  # the row that holds, and its own


# Other ways


def test_deploy_of_a_version_whose_event_was_edited_is_refused(pushed: Mreg) -> None:
    hooks(DEPLOY)
    planter = Planter()
    with planter.raw:
        planter.raw.execute("UPDATE events SET actor = 'another' WHERE seq = ?", (planter.entered().seq,))
    done = pushed("deploy", "classifier@1")
    assert (done.code, said(), planter.rows()) == (1, [], [])
    assert "cannot run the hook deploy for classifier@1: " in done.err


def test_deployments_shows_no_stage_that_is_none(pushed: Mreg) -> None:
    planter = Planter()
    planter.row(planter.event(details={"to": "\x1b[2Jx"}))
    for words in (["deployments", "classifier"], ["deployments", "classifier", "--json"]):
        outcome = attack(*words)
        assert outcome.code == 6, outcome
        assert printable_only(outcome.err)
        assert outcome.out == b""


def test_a_restored_backup_brings_no_deployment_that_runs_unchecked(pushed: Mreg) -> None:
    planter = Planter()
    PLANTED["an event of another version"](planter)
    PLANTED["a key of another event"](planter)
    planter.raw.close()
    hooks(DEPLOY)
    backup = pushed("backup", "backup.db", "--force")
    assert backup.code == 0, backup.err
    assert pushed("restore", "backup.db", "--yes").code == 0
    done = pushed("tag", "junk@1", "a=b")
    assert (done.code, said(), "was not run for 2 deployments" in done.err) == (0, [], True), done


def test_the_server_refuses_a_planted_deployment(pushed: Mreg, tmp_path: Path) -> None:
    made = json.loads(pushed("--json", "token", "create", "ci", "--role", "writer", "--line").out)
    hooks(DEPLOY)
    planter = Planter()
    of_junk(planter)
    PLANTED["free text"](planter)
    log = tmp_path / "server.log"
    variables = {**os.environ, "MREG_SERVER_TOKENS": made["line"]}
    with log.open("wb") as stream:
        words = [sys.executable, "-m", "mreg", "serve", "--port", "0"]
        server = subprocess.Popen(words, stdout=stream, stderr=stream, env=variables)
    try:
        while not (found := re.search(r" at (http://\S+),", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        request = Request(
            f"{found[1]}/models/classifier/versions/2/transition",
            json.dumps({"stage": "Production"}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {made['secret']}"},
        )
        assert urlopen(request, timeout=60).status == 200
    finally:
        server.terminate()
        server.wait(60)
    assert said() == ["version.stage_changed classifier@2 Production"]
    assert [row["status"] for row in planter.rows()] == ["failed", "failed", "deployed"]


def test_a_planted_deployment_in_postgresql_is_refused(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, postgresql: PostgresqlServer
) -> None:
    """The statements of the check are those of both kinds of databases."""
    url = postgresql.new_catalog()
    monkeypatch.setenv("MREG_CONFIG", "")  # so that what hooks() sets does not outlive the test
    hooks(DEPLOY, catalog=f"{url}\n    artifacts: artifacts")
    Path("model").write_text("1")
    assert command("push", "model", "-n", "classifier").code == 0
    assert command("promote", "classifier@1", "--to", "production").code == 0
    with local_registry("prod") as registry:
        registry._session.write_quietly(
            lambda writer: writer.connection.run(
                "deployments.insert", key=f"{'cd' * 16}.1", hook="deploy", seq=1, model_id=1, version=1, at=writer.time
            )
        )
    done = command("promote", "classifier@1", "--to", "archived", "--yes")
    assert (done.code, "was not run for 1 deployment of this catalog" in done.err) == (0, True), done
    assert command("deploy", "--pending").err == ""
    assert said() == ["version.stage_changed classifier@1 Production"]
