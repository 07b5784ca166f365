"""Stored text on its way to a terminal: in every command and every mode, what comes out is text."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mreg.cli import app
from tests.conftest import FULL
from tests.hostile import printable_only

SGR = re.compile(rb"\x1b\[[0-9;]*m")
"""The colours of mreg itself, which a terminal may receive."""

CONTROLS = "".join(map(chr, (*range(1, 32), *range(0x7F, 0xA0))))
MARKS = "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\U000e0041"
HOSTILE = (
    f"=1+1\x1b[31mred\x1b]8;;http://x\x07link\x1b]52;c;UFdORUQ=\x07\x9b2J{CONTROLS}{MARKS}"
    "[red]x[/red] <b>|`*_\\ $(touch PWNED)\r\n::set-output name=reference::owned\nreference=owned"
)
NESTED = json.dumps({"python": HOSTILE, HOSTILE: HOSTILE})

COLUMNS = {
    "models.description": HOSTILE,
    "models.primary_metric": HOSTILE,
    "models.created_by": HOSTILE,
    "models.name": HOSTILE,
    "models.updated_at": HOSTILE,
    "model_tags.name": HOSTILE,
    "model_tags.value": HOSTILE,
    "model_directions.name": HOSTILE,
    "versions.description": HOSTILE,
    "versions.artifact_name": HOSTILE,
    "versions.format": HOSTILE,
    "versions.stage": HOSTILE,
    "versions.status": HOSTILE,
    "versions.run_id": HOSTILE,
    "versions.experiment_id": HOSTILE,
    "versions.git_commit": HOSTILE,
    "versions.git_branch": HOSTILE,
    "versions.git_remote": HOSTILE,
    "versions.run_url": HOSTILE,
    "versions.environment": NESTED,
    "versions.created_by": HOSTILE,
    "version_tags.name": HOSTILE,
    "version_tags.value": HOSTILE,
    "parameters.name": HOSTILE,
    "parameters.value": HOSTILE,
    "metrics.name": HOSTILE,
    "metrics.exact": HOSTILE,
    "aliases.alias": HOSTILE,
    "artifacts.kind": HOSTILE,
    "artifacts.digest": HOSTILE,
    "events.actor": HOSTILE,
    "events.action": HOSTILE,
    "events.model": HOSTILE,
    "events.details": json.dumps({"reason": HOSTILE, "from": HOSTILE, "metrics": {HOSTILE: HOSTILE}, HOSTILE: HOSTILE}),
    "events.hash": HOSTILE,
    "decisions.person": HOSTILE,
    "decisions.comment": HOSTILE,
    "decisions.target": HOSTILE,
    "deployments.key": HOSTILE,
    "deployments.hook": HOSTILE,
    "deployments.output": HOSTILE,
    "deployments.status": HOSTILE,
    "policies.document": json.dumps({"Production": {"gates": [f"{HOSTILE} > 1"], "approvers": [HOSTILE]}}),
    "version_data.name": HOSTILE,
    "version_data.value": HOSTILE,
}
"""Hostile text by column; of each table one row gets it, or all rows if the column is not part of its key."""

FREE = [
    "models.description", "model_tags.value", "versions.description", "version_tags.value", "parameters.value",
    "events.details", "decisions.comment", "deployments.output",
]  # fmt: skip
"""Columns whose text is free: all of them are hostile at once, and are read."""

ONE_ROW = {
    "metrics.name",
    "parameters.name",
    "version_tags.name",
    "aliases.alias",
    "artifacts.digest",
    "versions.stage",
}

COMMANDS = (
    "list", "show m", "show m@1", "show m --plot", "show m --plot extra", "search", "search --sort metrics.extra",
    "compare m 1 2", "compare m 2 1 --fail-on-regression", "history", "history m@1", "history m --at 2999-01-01",
    "why m@1", "why m@2", "lineage m@2", "lineage m@2 --graph mermaid", "lineage m@2 --graph dot", "deployments m",
    "approvals", "policy show --model m", "policy show", "verify", "gc --grace 0s", "doctor", "audit verify",
    "export m@1 -o out.mreg --force", "pull m@1 out --force", "profile show", "profile list", "promote m@2 --plan",
    "promote m@1 --to staging --reason x", "approve m@2 -m x", "reject m@2 --reason x", "alias m@1 other", "tag m@1 a=b",
    "edit m@1 --description x", "edit m --description x", "archive m@1 --yes", "rollback m --yes", "deploy m@1",
    "delete m@1 --dry-run", "rename m other", "backup copy.db --force", "completion bash", "register m",
    "push model.pkl -n m --accuracy 0.1", "promote m@2", "delete m@2", "show m@nobody", "show nobody", "nonsense",
)  # fmt: skip
MODES = ("", "-q", "--json", "--format csv", "--format md", "--format table", "--format plain", "--debug")

Run = Callable[..., tuple[int, bytes, bytes]]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs one command line in this process."""

    def run_words(*words: str) -> tuple[int, bytes, bytes]:
        capfdbinary.readouterr()
        code = app.run(words)
        out, err = capfdbinary.readouterr()
        return code, out, err

    return run_words


@pytest.fixture
def catalog(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A catalog with a row in every table; makes it afresh, with these columns hostile."""
    os.mkdir("store")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("store/catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("store/artifacts"))
    monkeypatch.setenv("COLUMNS", "150")
    Path("model.pkl").write_bytes(b"x")
    Path("policy.yaml").write_text("Production:\n  gates: [accuracy > 0.5]\n  approvals: 1\n")
    extra = "--metric extra=1 --param p=1 --tag t=1 --description d --run-id r --data train=s3://b/k".split()
    for words in (
        ["push", "model.pkl", "-n", "m", "--accuracy", "0.9", "--alias", "champion", "--stage", "production", *extra],
        ["push", "model.pkl", "-n", "m", "--accuracy", "0.8", "--parent", "m@1", *extra],
        ["tag", "m", "team=x"],
        ["edit", "m", "--description", "x", "--direction", "cost=lower"],
        ["policy", "apply", "policy.yaml", "--model", "m"],
    ):
        code, _, err = run(*words)
        assert code == 0, err
    with closing(sqlite3.connect("store/catalog.db")) as connection, connection:
        connection.execute(
            "insert into decisions select 2, 'Production', 'x', 0, 'c', digest, '2026-01-01T00:00:00.000000Z'"
            " from artifacts limit 1"
        )
        connection.execute(
            "insert into deployments (key, hook, seq, model_id, version, status, attempts, outcome, output, created_at)"
            " values ('k', 'h', 1, 1, 1, 'failed', 1, 1, 'o', '2026-01-01T00:00:00.000000Z')"
        )
    os.rename("store", "kept")

    def fresh(*columns: str) -> None:
        shutil.rmtree("store", ignore_errors=True)
        shutil.copytree("kept", "store")
        with closing(sqlite3.connect("store/catalog.db")) as connection, connection:
            for place in columns:
                table, _, column = place.partition(".")
                keyed = "version_id" if table not in ("artifacts", "aliases") else "1"
                where = f" where {keyed} = 1 and {column} not in ('accuracy')" if place in ONE_ROW else ""
                connection.execute(f"update {table} set {column} = ?{where}", (COLUMNS[place],))

    yield fresh


def watched(run: Run, line: str, mode: str) -> None:
    """Run a command in a mode; both of its streams are text, and JSON is JSON."""
    code, out, err = run(*line.split(), *mode.split())
    shown = f"mreg {line} {mode}: exit {code}: {out!r} {err!r}"
    tabs = "\t" if mode in ("", "--format plain", "--debug") else ""
    assert printable_only(out, allowed=f"\n{tabs}"), shown
    assert printable_only(err), shown
    assert b"\n::" not in out, shown
    if mode == "--json" and out and "graph" not in line and "completion" not in line and "plot" not in line:
        json.loads(out)


@pytest.mark.parametrize("mode", MODES)
def test_free_text_is_text_in_every_command(mode: str, catalog: Callable[..., None], run: Run) -> None:
    for line in COMMANDS:
        catalog(*FREE)
        watched(run, line, mode)
    assert not Path("PWNED").exists()


@pytest.mark.campaign
def test_each_column_is_text_or_refused_in_every_command_and_mode(catalog: Callable[..., None], run: Run) -> None:
    cases = [(column, line, mode) for column in COLUMNS for line in COMMANDS for mode in MODES]
    for column, line, mode in cases if FULL else random.Random(11).sample(cases, 250):
        catalog(column)
        watched(run, line, mode)


def test_a_reference_is_one_line_of_text(catalog: Callable[..., None], run: Run) -> None:
    catalog("deployments.key", "events.model")
    for folder in [*Path("store/artifacts").rglob("*"), Path("store/artifacts")]:
        if folder.is_dir():
            (folder / "x\x9b2J\x1b[31m\u202e\n::y").write_bytes(b"x")
            os.utime(folder / "x\x9b2J\x1b[31m\u202e\n::y", (1, 1))
    for line in ("deployments m", "history", "gc --grace 0s", "doctor"):
        watched(run, line, "-q")
        watched(run, line, "--json")


ARGUMENTS = (
    ["show", "{}"], ["{}"], ["show", "m", "--plot", "{}"], ["list", "--format", "{}"], ["list", "--{}"], ["search", "{}"],
    ["promote", "m@1", "--to", "{}"], ["push", "{}"], ["pull", "m@1", "model.pkl/{}"], ["import", "{}"], ["completion", "{}"],
    ["list", "--profile", "{}"], ["list", "--config", "{}"], ["policy", "apply", "{}"], ["tag", "m", "{}=1"],
    ["alias", "m@1", "{}"], ["history", "m", "--at", "{}"], ["gc", "--grace", "{}"], ["push", "model.pkl", "-n", "{}"],
    ["push", "model.pkl", "--metric", "{}"], ["lineage", "m@1", "--graph", "{}"], ["serve", "--host", "{}"],
    ["export", "--inspect", "{}"], ["profile", "use", "{}"], ["token", "{}"], ["restore", "{}"], ["token", "create", "{}"],
    ["token", "revoke", "{}"], ["token", "create", "a", "--models", "{}"], ["token", "create", "a", "--expires", "{}"],
)  # fmt: skip


@pytest.mark.parametrize("mode", ["", "--json", "--debug"])
def test_errors_show_what_was_given_as_text(mode: str, catalog: Callable[..., None], run: Run) -> None:
    catalog()
    for words in ARGUMENTS:
        given = [word.format("a\x1b[31m\x9b2J\u202e\u2028\r\n\udcffb") for word in words]
        code, out, err = run(*given, *mode.split())
        assert code != 0, words
        assert printable_only(out), (words, out)
        assert printable_only(err), (words, err)


@pytest.mark.parametrize("line", ["list", "show m", "show m@1", "history", "deployments m", "show m --plot", "why m@1"])
@pytest.mark.parametrize("mode", ["", "-q", "--json"])
def test_a_terminal_receives_text_and_the_colours_of_mreg(
    line: str, mode: str, catalog: Callable[..., None], run: Run
) -> None:
    catalog(*FREE)
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "mreg", *line.split(), *mode.split()], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    received = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # Linux says so at the end
            break
        if not data:
            break
        received += data
    os.close(ours)
    child.wait(timeout=30)
    text = SGR.sub(b"", received.replace(b"\r\n", b"\n"))
    assert printable_only(text), text
    assert text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_json_is_valid_in_every_encoding(encoding: str, catalog: Callable[..., None], run: Run) -> None:
    catalog("versions.description")
    text = "é Ж 模 🙂 \x9b \u202e"
    with closing(sqlite3.connect("store/catalog.db")) as connection, connection:
        connection.execute("update versions set description = ?", (text,))
    done = subprocess.run(
        [sys.executable, "-m", "mreg", "show", "m@1", "--json"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout.decode(encoding))["description"] == text


def test_a_step_of_github_actions_gets_one_line_for_each_output(
    catalog: Callable[..., None], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog(*FREE)
    with closing(sqlite3.connect("store/catalog.db")) as connection, connection:
        connection.execute("update metrics set value = value - 1, exact = '-1' where version_id = 2")
    monkeypatch.setenv("GITHUB_OUTPUT", os.path.abspath("output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", os.path.abspath("summary"))
    run("compare", "m", "1", "2", "--ci", "--fail-on-regression")
    run("push", "model.pkl", "-n", "m", "--ci")
    names = [line.partition("=")[0] for line in Path("output").read_text().splitlines()]
    compared = ["reference_a", "reference_b", "regression", "regressed"]
    assert names == [*compared, "reference", "model", "version", "checksum"]
    assert printable_only(Path("summary").read_bytes())
    assert b"<b>" not in Path("summary").read_bytes()


def test_a_formula_in_a_column_name_or_cell_is_quoted_for_spreadsheets(catalog: Callable[..., None], run: Run) -> None:
    for sign in "=+-@＝＋－＠":
        catalog()
        with closing(sqlite3.connect("store/catalog.db")) as connection, connection:
            name = f"{sign}1" if sign != "=" else "+1"  # a metric has no '=' in its name
            connection.execute("update metrics set name = ? where name = 'extra'", (name,))
            connection.execute("update versions set created_by = ?", (f"{sign}2",))
        _, out, _ = run("show", "m", "--format", "csv")
        cells = out.decode().replace("\n", ",").split(",")
        assert f"'{name}" in cells
        assert f"'{sign}2" in cells


def test_a_plot_file_holds_text(catalog: Callable[..., None], run: Run) -> None:
    catalog()
    with closing(sqlite3.connect("store/catalog.db")) as connection, connection:
        connection.execute("update metrics set name = ? where name = 'extra'", (f"x--><script>{MARKS}\x9b",))
    for kind in ("svg", "html", "png"):
        code, out, err = run("show", "m", "--plot", f"x--><script>{MARKS}\x9b", "--plot-file", f"plot.{kind}")
        assert printable_only(out + err), (out, err)
        assert code in (0, 6), err
        if code == 0 and kind != "png":
            assert printable_only(Path(f"plot.{kind}").read_bytes(), allowed="\n")
            assert b"<script" not in Path(f"plot.{kind}").read_bytes()
