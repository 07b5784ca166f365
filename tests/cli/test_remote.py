"""Commands print the same over a server as over a local registry: output, notes, exit codes and JSON."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_help import ALL, GROUPS
from tests.conftest import ROOT, Mreg
from tests.serving import Serving, serving

LIFE = [
    ["list"],
    ["list", "--json"],
    ["show", "churn"],
    ["register", "churn", "--description", "who leaves", "--tag", "team=crm", "--primary-metric", "accuracy"],
    ["register", "churn"],
    ["register", "a/../b"],
    ["register", "churn-2", "--json"],
    ["show", "churn", "--json"],
    ["tag", "churn", "owner=ada"],
    ["tag", "churn", "owner=ada", "--json"],
    ["edit", "churn", "--description", "who will leave", "--json"],
    ["edit", "churn", "--primary-metric", "x" * 300],
    ["rename", "churn-2", "leavers"],
    ["rename", "churn-2", "churn"],
    ["list", "-q"],
    ["list", "--limit", "1"],
    ["list", "--format", "csv"],
    ["list", "--format", "md"],
    ["search", "accuracy > 0.9"],
    ["search", "accuracy >"],
    ["search", "accuracy > 0.9", "--json"],
    ["show", "chrun"],
    ["show", "churn@3"],
    ["show", "churn@3", "--json"],
    ["show", "churn@production"],
    ["history", "churn", "--json"],
    ["history", "churn"],
    ["why", "churn@1"],
    ["promote", "churn@1", "--to", "production"],
    ["approve", "churn@1", "--to", "production", "--json"],
    ["approvals"],
    ["approvals", "--json"],
    ["alias", "churn@1", "champion"],
    ["compare", "churn", "1", "2"],
    ["archive", "churn@1"],
    ["deployments", "churn"],
    ["policy", "show", "churn"],
    ["policy", "show", "--json"],
    ["delete", "churn"],
    ["delete", "leavers", "--yes"],
    ["delete", "churn", "--yes", "--json"],
    ["list", "--json"],
]  # fmt: skip
"""The life of a model, and commands that fail, in this order."""


VERSIONS = [
    ["push", "missing.bin", "--name", "team/churn"],
    ["push", "model.bin", "--name", "a/../b"],
    ["push", "model.bin", "--name", "team/churn", "--existing"],
    ["push", "model.bin", "--name", "team/churn", "--accuracy", "0.9", "--param", "depth=3", "--tag", "team=crm"],
    ["push", "model.bin", "--name", "team/churn", "--json"],
    ["push", "net", "--name", "team/churn", "--accuracy", "0.95", "--parent", "team/churn@1", "--alias", "best-so-far"],
    ["push", "net", "--name", "team/churn", "--dry-run"],
    ["push", "net", "--name", "team/churn", "--include", "*.txt", "--dry-run", "--json"],
    ["push", "net", "--name", "team/churn", "--parent", "team/churn@9"],
    ["push", "net", "--name", "team/churn", "--include", "*.txt", "--stage", "staging", "--json"],
    ["push", "net", "--name", "team/churn", "--exclude", "*", "-q"],
    ["push", "model.bin", "--name", "team/churn", "--metric", "f1=0.5", "--data", "train=s3://lake/x@sha256:" + "a" * 64, "-q"],
    ["evaluate", "team/churn@1", "--metric", "recall=0.8"],
    ["evaluate", "team/churn@1", "--metric", "recall=0.9"],
    ["show", "team/churn"],
    ["show", "team/churn", "--json"],
    ["show", "team/churn@1"],
    ["show", "team/churn@1", "--json"],
    ["show", "team/churn/2"],
    ["show", "team/churn@latest~1"],
    ["show", "team/churn@best"],
    ["show", "team/churn@9"],
    ["list"],
    ["list", "--json"],
    ["search", "accuracy > 0.9"],
    ["search", "accuracy > 0.9", "--json"],
    ["files", "team/churn@3"],
    ["files", "team/churn@3", "--long", "--json"],
    ["files", "team/churn@1"],
    ["compare", "team/churn", "1", "3"],
    ["compare", "team/churn@1", "team/churn@3", "--json"],
    ["promote", "team/churn@3", "--to", "staging"],
    ["promote", "team/churn@3", "--to", "production", "--json"],
    ["promote", "team/churn@1", "--to", "production"],
    ["rollback", "team/churn", "--yes"],
    ["rollback", "team/churn", "--yes", "--json"],
    ["alias", "team/churn@3", "champion"],
    ["alias", "team/churn@1", "champion", "--json"],
    ["alias", "team/churn@1", "1"],
    ["alias", "team/churn", "--remove", "none"],
    ["tag", "team/churn@3", "owner=ada"],
    ["edit", "team/churn@3", "--description", "three"],
    ["lineage", "team/churn@3"],
    ["lineage", "team/churn@3", "--json"],
    ["pull", "team/churn@champion", "back.bin"],
    ["pull", "team/churn@champion", "back.bin"],
    ["pull", "team/churn@champion", "back.bin", "--if-changed"],
    ["pull", "team/churn@3", "back.bin"],
    ["pull", "team/churn@3", "back.bin", "--force"],
    ["pull", "team/churn@3", "out", "--json"],
    ["pull", "team/churn@3", "one", "--include", "weights/*"],
    ["pull", "team/churn@3", "two", "--include", "*.none"],
    ["pull", "team/churn@3", "dry", "--dry-run"],
    ["pull", "team/churn@1", "--stdout"],
    ["pull", "team/churn@3", "--stdout"],
    ["pull", "team/churn@9", "none"],
    ["pull", "team/none"],
    ["path", "team/churn@9"],
    ["verify"],
    ["verify", "team/churn"],
    ["verify", "team/churn", "--json"],
    ["verify", "team/churn@1"],
    ["verify", "team/churn@9"],
    ["verify", "team/churn@1", "--path", "model.bin"],
    ["verify", "team/churn@3", "--path", "model.bin"],
    ["verify", "team/churn@3", "--path", "out", "--json"],
    ["archive", "team/churn@2"],
    ["wait", "team/churn@production", "--timeout", "0.01"],
    ["history", "team/churn"],
    ["history", "team/churn@3", "--json"],
    ["why", "team/churn@3"],
    ["why", "team/churn@3", "--json"],
    ["deployments", "team/churn"],
    ["export", "team/churn@1", "-o", "churn.mreg"],
    ["import", "churn.mreg", "-n", "copy"],
    ["import", "churn.mreg", "-n", "copy", "--json"],
    ["show", "copy@1", "--json"],
    ["delete", "team/churn@3", "--yes"],
    ["delete", "team/churn@2", "--dry-run"],
    ["delete", "team/churn@2", "--yes"],
    ["delete", "team/churn@4", "--yes", "--force", "--json"],
    ["delete", "team/churn@2", "--yes"],
    ["show", "team/churn@2"],
    ["pull", "team/churn@2", "gone"],
    ["audit", "verify"],
    ["audit", "verify", "--json"],
    ["gc"],
    ["gc", "--json"],
    ["gc", "--remove", "--yes"],
    ["delete", "team/churn", "--yes"],
    ["delete", "team/churn", "--yes", "--force"],
    ["show", "team/churn"],
]  # fmt: skip
"""The life of versions with their artifacts, and commands that fail, in this order."""

DECISIONS = [
    ["register", "churn", "--primary-metric", "accuracy"],
    ["push", "model.bin", "--name", "churn", "--accuracy", "0.9", "-q"],
    ["policy", "check", "policy.yaml"],
    ["policy", "apply", "policy.yaml"],
    ["policy", "apply", "policy.yaml", "--json"],
    ["policy", "apply", "none.yaml"],
    ["policy", "show"],
    ["promote", "churn@1", "--to", "staging"],
    ["approvals"],
    ["promote", "churn@1", "--to", "production"],
    ["reject", "churn@1", "--comment", "too slow"],
    ["why", "churn@1"],
    ["policy", "remove"],
    ["policy", "remove", "--yes"],
    ["deploy"],
    ["token", "revoke", "none"],
    ["token", "create", "a b"],
]  # fmt: skip
"""Policies, decisions and hooks, in this order."""

DIFFERENT = [
    ["backup", "b.db"],
    ["doctor"],
    ["profile", "check"],
    ["token", "create", "reading"],
    ["token", "list"],
    ["token", "revoke", "reading"],
    ["whoami"],
    ["profile", "show"],
]  # fmt: skip
"""Commands that work with a server, and print its places, names or times."""

REFUSED = [
    ["restore", "b.db", "--yes"],
    ["upgrade"],
    ["upgrade", "--yes"],
    ["serve"],
    ["import", "mlflow:sqlite:///m.db"],
    ["import", "hf:org/net"],
]
"""Commands that need the catalog itself; with ``catalog copy``, which takes other profiles."""

WITHOUT_A_REGISTRY = {
    "init", "profile list", "profile use", "profile add", "profile remove", "trust", "completion", "help", "login", "logout",
}  # fmt: skip
"""Commands that change or show only files of the user."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serving]:
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder, {"MREG_CATALOG": str(folder / "catalog.db")}) as found:
        yield found


def comparable(text: str) -> str:
    """Return output without times, hashes of events, which include times, and places."""
    text = text.replace(os.getcwd(), "HERE")
    text = re.sub(r"file:///\S+/blobs/", "file:///BLOBS/", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-][\d:]+)?", "TIME", text)
    return re.sub(
        r"(?<=\t)[0-9a-f]{64}$|\"(previous|hash|last_hash)\": \"[0-9a-f]*\"", r"\1 HASH", text, flags=re.MULTILINE
    )


def differences(
    commands: list[list[str]], first: list[str], server: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> dict[str, object]:
    """Run the commands in a folder over a catalog and in an equal one over a server, and return what differs.

    Args:
        first: A command to run before, whose output can differ.
    """
    monkeypatch.setenv("MREG_USER", "ada")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("catalog.db"))
    found = []
    for place in ("local", "remote"):
        Path(place, "net/weights").mkdir(parents=True)
        monkeypatch.chdir(place)
        Path("model.bin").write_bytes(b"m" * 300_000)
        Path("net/weights/large.bin").write_bytes(b"w" * (5 << 20))
        Path("net/weights/small.bin").write_bytes(b"w" * 5)
        Path("net/a.txt").write_text("a")
        Path("policy.yaml").write_text("Production:\n  from: Staging\n  approvals: 1\n")
        command(*first)
        done = [command(*words) for words in commands]
        found.append([(one.code, comparable(one.out), comparable(one.err)) for one in done])
        monkeypatch.chdir("..")
        monkeypatch.delenv("MREG_CATALOG", raising=False)
        monkeypatch.setenv("MREG_SERVER", server.url)
        monkeypatch.setenv("MREG_TOKEN", server.secrets["ada"])
    pairs = zip(commands, *found, strict=True)
    return {" ".join(words)[:80]: (local, remote) for words, local, remote in pairs if local != remote}


def test_each_command_prints_the_same_as_over_a_local_registry(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert differences(LIFE, ["register", "churn-2", "--json"], served, command, monkeypatch) == {}


def test_each_decision_prints_the_same_as_over_a_local_registry(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert differences(DECISIONS, ["register", "first"], served, command, monkeypatch) == {}


def test_every_command_is_the_same_with_a_server_or_refused(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {" ".join(words) for words in ALL if words not in {(group,) for group in GROUPS}}
    ran = [*LIFE, *VERSIONS, *DECISIONS, *DIFFERENT, *REFUSED, ["catalog", "copy"]]
    tried = {" ".join(words[:2] if words[0] in GROUPS else words[:1]) for words in ran}
    assert tried | WITHOUT_A_REGISTRY == known
    monkeypatch.setenv("MREG_SERVER", served.url)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
    command("register", "churn")
    for words in DIFFERENT:
        assert command(*words).code == 0, words
    page = (ROOT / "docs/how-to/remote.md").read_text()
    for words in (*REFUSED, ["catalog", "copy", "--from-profile", "local", "--to-profile", "local"]):
        done = command(*words)
        assert (done.code, done.out) == (2, ""), done
        assert re.search(
            r"^error: .+ needs direct access to the catalog.*\n  (on the machine of the server, run: mreg|use it where)",
            done.err,
            re.MULTILINE,
        ), done
        assert f"mreg {words[0]}" in page
    assert command("list", "-q").out == "churn\n"


def test_each_command_on_versions_prints_the_same_as_over_a_local_registry(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ["push", "net/a.txt", "--name", "first"]  # it says that it made the registry
    assert differences(VERSIONS, first, served, command, monkeypatch) == {}
    assert served.process.poll() is None
    copies = [
        {path.relative_to(place): path.read_bytes() for path in Path(place).rglob("*") if path.is_file()}
        for place in ("local", "remote")
    ]
    for copy in copies:
        copy.pop(Path("churn.mreg"))  # has the times of the version
    assert copies[0] == copies[1]
    assert {Path("back.bin"), Path("out/weights/large.bin"), Path("one/weights/small.bin")} <= copies[0].keys()
