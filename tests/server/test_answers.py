"""Answers that are kept until the catalog changes, by whatever process."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mreg.registry.local import LocalRegistry
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role
from mreg.server import answers
from mreg.server.answers import KEPT, Answers
from mreg.server.app import build_app
from mreg.server.settings import ServerSettings
from mreg.wire.protocol import MEDIA_TYPE
from tests.conftest import Mreg
from tests.server.conftest import Served

InProcess = Callable[..., Served]
PATHS = (
    "/models",
    "/models/churn",
    "/models/churn/production",
    "/models/churn/versions/latest",
    "/search?q=version+%3E+0",
)


@contextmanager
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The transactions that read the catalog of a server in this process."""
    from mreg.catalog.sqlite import SqliteDatabase

    found: list[str] = []
    read = SqliteDatabase.read

    def counted(self: SqliteDatabase, fn: Any) -> Any:
        found.append("read")
        return read(self, fn)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteDatabase, "read", counted)
        yield found


@pytest.fixture
def pushed(command: Mreg) -> None:
    for number in (1, 2):
        Path("m").write_text(str(number))
        assert command("push", "m", "-n", "churn").code == 0
    assert command("promote", "churn@1", "--to", "production", "--yes").code == 0


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_is_read_once_and_again_after_a_change_of_another_process(
    pushed: None,
    registry: LocalRegistry,
    in_process: InProcess,
    path: str,
    command: Mreg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = in_process()
    server.get(path)  # opens the catalog, which has no state before
    first = server.get(path)
    assert first.status_code == 200
    with reads(monkeypatch) as found:
        for _ in range(3):
            again = server.get(path)
            assert again.content == first.content
            skipped = ("date", "x-request-id")
            assert [pair for pair in again.headers.items() if pair[0] not in skipped] == [
                pair for pair in first.headers.items() if pair[0] not in skipped
            ]
        assert found == []
    Path("m").write_text("3")
    assert command("push", "m", "-n", "churn", "--stage", "production").code == 0
    changed = server.get(path)
    assert changed.content != first.content
    assert '"version":3' in changed.text or '"latest_version":3' in changed.text


def test_a_client_always_sees_what_it_changed(pushed: None, registry: LocalRegistry, in_process: InProcess) -> None:
    server = in_process()
    for number in range(30):
        text = f"description {number}"
        assert server.ask("PATCH", "/models/churn", json={"description": text}).status_code == 200
        for _ in range(2):
            assert server.get("/models/churn").json()["description"] == text
            assert server.get("/models").json()[0]["description"] == text
    assert server.ask("DELETE", "/models/churn?force=true").status_code == 200
    assert server.get("/models/churn").status_code == 404
    assert server.get("/models").json() == []


def test_a_catalog_that_is_replaced_is_read_again(
    pushed: None, registry: LocalRegistry, in_process: InProcess, command: Mreg
) -> None:
    server = in_process()
    catalog = Path(os.environ["HOME"], ".local/share/mreg/catalog.db")
    assert command("backup", "saved").code == 0
    assert command("register", "later").code == 0
    assert [model["name"] for model in server.get("/models").json()] == ["later", "churn"]
    shutil.copy("saved", "copy")
    for log in ("-wal", "-shm"):
        catalog.with_name(catalog.name + log).unlink(missing_ok=True)
    os.replace("copy", catalog)
    assert [model["name"] for model in server.get("/models").json()] == ["churn"]


def test_an_answer_is_kept_for_one_scope_and_one_form(
    pushed: None, registry: LocalRegistry, in_process: InProcess
) -> None:
    registry.register("secret/model")
    made = [new_token("all", Role.READER), new_token("one", Role.READER, models=("churn",))]
    server = in_process(ServerSettings(tokens=tuple(one.token for one in made)))

    def ask(number: int, path: str, **headers: str) -> Any:
        return server.get(path, headers={"Authorization": f"Bearer {made[number].secret}", **headers})

    for _ in range(2):
        assert len(ask(0, "/models").json()) == 2
        assert len(ask(1, "/models").json()) == 1
        assert ask(0, "/models/secret%2Fmodel").status_code == 200
        assert ask(1, "/models/secret%2Fmodel").status_code == 404
        assert set(ask(0, "/models", Accept=MEDIA_TYPE).json()) >= {"result", "notices"}
        assert server.get("/models").status_code == 401


def test_an_error_is_not_kept(registry: LocalRegistry, in_process: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    server = in_process()
    registry.register("churn")
    with reads(monkeypatch) as found:
        for _ in range(3):
            before = len(found)
            assert server.get("/models/churn/production").status_code == 404
            assert len(found) > before


class Answer:
    status_code = 200
    raw_headers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, body: bytes) -> None:
        self.body = body


def key_of(number: int) -> Any:
    return "", f"/models/{number}", b"", False, None


def test_kept_answers_have_a_limit_and_the_oldest_are_dropped() -> None:
    made = Answers(lambda: 1)
    state = made.state()
    body = bytes(answers.LARGEST // 2)
    count = answers.BYTES // (len(body) + answers.OVERHEAD)
    for number in range(count + 2):
        made.keep(key_of(number), state, Answer(body))  # type: ignore[arg-type]
        assert made.find(key_of(0)) is not None
    assert made.find(key_of(1)) is None
    assert made.find(key_of(count + 1)) is not None
    made.keep(key_of(-1), state, Answer(bytes(answers.LARGEST + 1)))  # type: ignore[arg-type]
    assert made.find(key_of(-1)) is None


def test_an_answer_of_an_earlier_state_is_not_kept() -> None:
    states = iter((1, 2, 2, 3, None))
    made = Answers(lambda: next(states))
    before = made.state()
    made.state()
    made.keep(key_of(1), before, Answer(b"old"))  # type: ignore[arg-type]
    assert made.find(key_of(1)) is None
    made.keep(key_of(1), made.state(), Answer(b"new"))  # type: ignore[arg-type]
    assert made.find(key_of(1)) is not None
    made.state()
    assert made.find(key_of(1)) is None
    assert made.state() is None


def test_the_kept_routes_exist(registry: LocalRegistry) -> None:
    document = json.loads(json.dumps(build_app(registry, ServerSettings()).openapi()))
    assert set(KEPT) <= {path for path, operations in document["paths"].items() if "get" in operations}
