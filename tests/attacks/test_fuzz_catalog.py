"""Random values in every column of a catalog: each command ends with a documented error, and writes nothing elsewhere."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.catalog.schema import migration_statements
from mreg.domain.policy import parse_policy
from mreg.server.app import build_app
from mreg.server.settings import ServerSettings
from tests.conftest import FULL, Mreg, local_registry
from tests.hostile import attack, bounded, plant, untouched

ROUNDS = 400 if FULL else 6
COMMANDS = 1000 if FULL else 6
"""Commands and routes of each round, chosen by chance."""

PROCESSES = 40 if FULL else 1
"""Rounds in which a command runs as a process of its own, with a watch on its memory."""

DOCUMENTED = frozenset(range(9))
HUGE = 2**63 - 1

TEXTS = [
    "", " ", "x", "7", "-1", "1e999", "nan", "inf", "9" * 400, "9" * 5000, "0x10", "None", "Production", "Archived",
    "production", "ready", "folder", "file", "m", "net", "a/b", "../../evil", "/tmp/evil", "..", ".", ".bashrc", "-rf",
    "C:evil", "a\\b", "a\0b", "a\nb", "a\x1b[2J", "a\x9bb", "a\u202eb", "\u2028", "[red]x[/red]", "<script>x</script>",
    "=1+1", "|a|b|", "$(touch PWNED)", "javascript:alert(1)", "https://user:pw@host/", "http://[::1", "file:///etc/passwd",
    "2026-01-01T00:00:00.000000Z", "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z",
    "2026-13-01T00:00:00.000000Z", "2026-01-01", "0" * 64, "A" * 64, "g" * 64, "sha256:" + "0" * 64, "{}", "[]", "null",
    '{"a": 1}', '{"to": 7, "alias": [], "imported": {"first_event": {}}}', '{"to": "Production"}', '{"to": "x"}',
    '{"from": {"a": [null]}, "to": {}, "policy": [], "reason": 1, "metrics": 3, "imported": [1]}',
    '{"policy": {"gates": 7, "approvals": "x", "approved_by": {}, "from": []}, "to": "Production"}',
    '{"before": {"Production": 1}, "after": []}', '{"description": ["a"], "tags": [1, 2, 3]}', '{"target": {}}',
    '{"a": NaN}', '{"a": 1e999}', '{"\\ud800": "\\ud800"}', "[" * 100_000, "{\"a\":" * 5000, "x" * 6_000, "x" * 300_000,
    '{"Production": {"gates": ["accuracy >= production.accuracy"]}}', '{"Production": {"approvals": 1e3}}',
    '{"Production": {"gates": ["' + "(" * 5000 + '"]}}', '{"Production": {"gates": ["' + "not " * 5000 + 'x"]}}',
    '{"aliases": {"latest": {}}}', "accuracy", "lower", "pending", "deploying", "deployed", "hook", "\ud7ff\U0010ffff",
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, -1, 7, 2**31 - 1, 2**31, 2**53, HUGE, -HUGE - 1, 1.5, -0.0, 1e300, float("inf"), None]
BLOBS = [b"", b"x", b"\0", b"\xff\xfe", b"x" * 100_000]
VALUES: list[Sequence[str | float | bytes | None]] = [TEXTS, TEXTS, NUMBERS, BLOBS]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with everything that a catalog can hold."""
    root = tmp_path_factory.mktemp("template")
    (root / "model").write_bytes(b"\x80\x04K\x01.")
    (root / "net" / "sub").mkdir(parents=True)
    (root / "net" / "a").write_text("a")
    (root / "net" / "sub" / "b").write_text("b")
    with local_registry(catalog=str(root / "catalog.db"), artifacts=str(root / "artifacts")) as registry:
        registry.register("m", description="a model", tags={"team": "x"}, directions={"cost": "lower"})
        for number in range(3):
            (root / "model").write_bytes(b"\x80\x04K" + bytes([number]) + b".")
            registry.push(
                root / "model",
                name="m",
                metrics={"accuracy": 0.5 + number / 10, "cost": number},
                parameters={"lr": "0.1", "opt": "adam"},
                tags={"a": "b"},
                description="text",
                run_id=f"run-{number}",
                parent=f"m@{number}" if number else None,
                data={"train": "s3://bucket/data@3"},
            )
        registry.push(root / "net", name="net", metrics={"accuracy": 0.5}, parent="m@1")
        registry.push(root / "net", name="gone")
        policy = parse_policy({"Production": {"gates": ["accuracy >= 0.1"], "approvals": 1, "own_approval": True}})
        registry.apply_policy(policy, "m")
        registry.approve("m@1", comment="good")
        for reference in ("m@1", "m@2"):
            registry.approve(reference)
            registry.promote(reference, "Production")
        registry.reject("m@3", reason="bad")
        registry.set_alias("m@1", "champion")
        registry.set_alias("m@2", "champion")
        registry.rename("net", "team/net")
        registry.promote("team/net@1", "Staging")
        registry.edit("m@1", description="other")
        registry.delete("gone@1")
    connection = sqlite3.connect(root / "catalog.db")
    with connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        event = connection.execute("SELECT seq FROM events WHERE action = 'version.stage_changed'").fetchone()[0]
        connection.execute(
            "INSERT INTO deployments (key, hook, seq, model_id, version, status, attempts, output, created_at) "
            "VALUES (?, 'hook', ?, 1, 1, 'deployed', 1, 'said', '2026-01-01T00:00:00.000000Z')",
            ("0" * 32 + ".1", event),
        )
        connection.execute("INSERT INTO removals VALUES (?, 0, 'mark', '2026-01-01T00:00:00.000000Z')", ("0" * 64,))
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    return root


def columns(path: Path) -> list[tuple[str, str]]:
    """Every column of every table."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            (table, row[1])
            for table in sorted(tables)
            if not table.startswith("sqlite_")
            for row in connection.execute(f"PRAGMA table_info({table})")
        ]


def mutate(path: Path, chance: random.Random, count: int) -> list[tuple[str, str, str]]:
    """Write random values into random cells; what was written where."""
    done = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for _ in range(count):
            table, column = chance.choice(columns(path))
            value = chance.choice(chance.choice(VALUES))
            where = "" if chance.random() < 0.3 else f" WHERE rowid = {chance.randint(1, 4)}"
            try:
                connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?{where}", (value,))
            except sqlite3.Error:  # a table without rowid, or a constraint
                try:
                    connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
                except sqlite3.Error:
                    continue
            done.append((table, column, repr(value)[:200] + where))
    return done


READING = [
    ["list"], ["list", "--json"], ["list", "-q"], ["list", "--format", "csv"], ["list", "--format", "md"],
    *([*words, reference] for reference in ("m", "m@1", "m@3", "team/net@1", "m@production", "m@champion", "m@latest")
      for words in (["show"], ["show", "--json"], ["history"], ["history", "--json"])),
    ["show", "m@best"], ["show", "m@production~1"], ["show", "m@champion~1"], ["show", "m@sha256:00000000"],
    ["history"], ["history", "-q"], ["history", "m", "--at", "2026-06-01"], ["compare", "m@1", "m@2"],
    ["compare", "m@2", "m@3", "--json"], ["compare", "m"], ["search", "metrics.accuracy > 0.1"], ["search", ""],
    ["search", "tags.a = 'b' and params.lr > 0", "--sort", "-metrics.accuracy", "--json"],
    ["search", "name like 'm'", "--sort", "created_at"], ["lineage", "m@1"], ["lineage", "m@3", "--json"],
    ["lineage", "team/net@1"], ["why", "m@2"], ["why", "m@2", "--json"], ["approvals"], ["deployments", "m"],
    ["deployments", "m", "--json"], ["audit", "verify"], ["doctor"], ["doctor", "--json"], ["verify", "--all"],
    ["verify", "m@1"], ["policy", "show", "--model", "m"], ["gc"],
    ["pull", "m@1", "--stdout"],
]  # fmt: skip
WRITING = [
    ["pull", "m@1"], ["pull", "m@2", "place/file"], ["pull", "team/net@1", "place/folder"], ["pull", "team/net@1"],
    ["export", "m"], ["export", "team/net@1", "-o", "place/bundle"], ["backup", "place/backup"],
    ["push", "given", "--name", "m"], ["promote", "m@3", "--to", "Staging"], ["alias", "m@3", "champion"],
    ["edit", "m", "--description", "x"], ["tag", "m@1", "k=v"], ["rename", "m", "n"], ["delete", "m@1", "--yes"],
    ["approve", "m@3"], ["rollback", "m"], ["archive", "m@1"],
]  # fmt: skip
ROUTES = [
    "/models", "/models/m", "/models/m/versions/1", "/models/m/production", "/models/m/compare?version_a=1&version_b=2",
    "/models/team%2Fnet", "/models/team%2Fnet/versions/1/files", "/models/m/versions/1/artifact",
    "/models/team%2Fnet/versions/1/files/a", "/models/m/versions/2/why", "/models/m/versions/2/lineage",
    "/models/m/versions/1/history", "/models/m/history", "/history", "/search?q=", "/audit", "/approvals",
    "/models/m/policy", "/models/m/versions/3/plan", "/models/m/stages?at=2026-06-01", "/readyz", "/metrics", "/ui",
    "/ui/models/m", "/ui/models/m/versions/1", "/ui/models/team%2Fnet/versions/1", "/ui/history",
    "/ui/models/m/history", "/ui/models/m/compare?version_a=1&version_b=2", "/ui/models/m/versions/1/artifact",
]  # fmt: skip


async def ask(app: Any, address: str) -> int:
    """The status of an answer."""
    path, _, query = address.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path.replace("%2F", "/"), "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000")], "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    status = 0
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.sleep(3600)
        sent = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    return status


@pytest.fixture
def store(template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of that store in the working folder, with sentinels around it."""
    shutil.copytree(template / "artifacts", "fx/artifacts", symlinks=True)
    for folder in ("../around", "../home"):
        os.makedirs(folder, exist_ok=True)
        plant(folder)
    Path("given").write_text("given")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("fx/catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("fx/artifacts"))
    yield Path("fx/catalog.db")


def renew(template: Path) -> None:
    for name in os.listdir("."):
        if name not in ("fx", "given"):
            shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.unlink(name)
    os.mkdir("place")
    for name in os.listdir("fx"):
        if name != "artifacts":
            os.unlink(f"fx/{name}")
    shutil.copy(template / "catalog.db", "fx/catalog.db")


@pytest.mark.campaign
@pytest.mark.timeout(3600 if FULL else 120)
def test_a_catalog_of_random_values_gives_documented_errors_alone(template: Path, store: Path, command: Mreg) -> None:
    chance = random.Random(21)
    with untouched("../around", "../home", but=(".local",)):  # where a pull keeps its record
        for number in range(ROUNDS):
            renew(template)
            written = mutate(store, chance, chance.choice([1, 1, 1, 2, 5]))
            for words in chance.sample(READING + WRITING, min(COMMANDS, len(READING + WRITING))):
                if words == ["pull", "m@1", "--stdout"]:
                    continue  # writes below Python's standard output
                with bounded((number, written, words)):
                    done = command("--debug", *words)
                shown = f"{number}: {written}\nmreg {' '.join(words)}: {done}"
                assert done.code in DOCUMENTED, shown
                assert "error: unexpected" not in done.err, shown
            served(chance, str(written))
            inside = {name for name in os.listdir(".") if name not in ("fx", "given", "place")}
            assert all(name[0] not in "-." for name in inside), (written, inside)


def test_the_commands_of_the_campaign_are_right(template: Path, store: Path, command: Mreg) -> None:
    wrong = []
    for words in (*READING, *WRITING):
        if words != ["pull", "m@1", "--stdout"]:
            renew(template)
            done = command(*words)
            if done.code == 2:
                wrong.append((words, done.err))
    assert not wrong


def served(chance: random.Random, written: str) -> None:
    with local_registry() as registry:
        try:
            app = build_app(registry, ServerSettings())
        except mreg.MregError:
            return
        for address in chance.sample(ROUTES, min(COMMANDS, len(ROUTES))):
            with bounded((written, address)):
                status = asyncio.run(ask(app, address))
            assert status in (200, 303, 307, 400, 404, 405, 409, 410, 422, 503) or status == 500, (
                written,
                address,
                status,
            )


@pytest.mark.campaign
@pytest.mark.timeout(3600 if FULL else 120)
def test_commands_on_a_catalog_of_random_values_stay_within_time_and_memory(template: Path, store: Path) -> None:
    chance = random.Random(22)
    with untouched("..", but=("here", "home/.local")):
        for _ in range(PROCESSES):
            renew(template)
            mutate(store, chance, chance.choice([1, 3]))
            for words in chance.sample(READING + WRITING, 3):
                attack(*words)


def test_every_column_of_the_schema_can_be_written(template: Path) -> None:
    named = {
        line.split()[0]
        for number in (1, 2, 3, 4)
        for sql in migration_statements(number)
        if "CREATE TABLE" in sql
        for line in sql.split("(", 1)[1].splitlines()
        if line.startswith("    ")
    }
    assert named - {"PRIMARY", "UNIQUE"} <= {column for _, column in columns(template / "catalog.db")}
