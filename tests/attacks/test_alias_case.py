"""An alias is one alias in every case: rules, decisions, references, searches and old catalogs that hold two spellings."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

import mreg
from mreg.domain.names import folded, spelled
from mreg.domain.policy import Policy, Rule, parse_policy
from mreg.errors import BadInput, GateFailed
from tests.conftest import Mreg
from tests.places import KINDS, catalogs_of

SPELLINGS = ("champion", "Champion", "CHAMPION", "cHaMpIoN")


@pytest.fixture
def pushed(command: Mreg) -> Mreg:
    """m@1 (0.9) and m@2 (0.8)."""
    for number, accuracy in ((1, 0.9), (2, 0.8)):
        Path("model").write_text(str(number))
        assert command("push", "model", "-n", "m", "--accuracy", str(accuracy)).code == 0
    return command


def aliases(command: Mreg) -> dict[str, int]:
    return dict(json.loads(command("show", "m", "--json").out)["aliases"])


def two_spellings() -> None:
    """What an older release could store: champion is m@1 and Champion is m@2."""
    raw = sqlite3.connect(Path.home() / ".local/share/mreg/catalog.db")
    with raw:
        raw.execute("INSERT INTO aliases SELECT model_id, 'Champion', version_id FROM versions WHERE version = 2")
    raw.close()


def test_an_alias_is_found_in_any_case_and_keeps_its_spelling(pushed: Mreg) -> None:
    assert pushed("alias", "m@1", "Champion").code == 0
    for alias in SPELLINGS:
        assert pushed("show", f"m@{alias}", "-q").out == "m@1\n"
        assert pushed("search", f"alias = '{alias}'", "-q").out == "m@1\n"
        assert pushed("search", f"alias in ('x', '{alias}')", "-q").out == "m@1\n"
    assert pushed("alias", "m@2", "CHAMPION").code == 0
    assert aliases(pushed) == {"Champion": 2}
    assert pushed("show", "m@champion~1", "-q").out == "m@1\n"
    assert pushed("show", "m@champion", "--at", "2999-01-01", "-q").out == "m@2\n"
    assert pushed("alias", "m", "--remove", "chAMPion").code == 0
    assert aliases(pushed) == {}
    assert pushed("audit", "verify").code == 0


@pytest.mark.parametrize("alias", SPELLINGS)
def test_a_rule_for_an_alias_holds_in_any_case(alias: str, pushed: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("policy.yaml").write_text("aliases: {Champion: {approvals: 1, approvers: [lead]}}\n")
    assert pushed("policy", "apply", "policy.yaml").code == 0
    assert pushed("alias", "m@1", alias).code == 5
    Path("model").write_text("3")
    assert pushed("push", "model", "-n", "m", "--alias", alias).code == 5
    monkeypatch.setenv("MREG_USER", "lead")
    assert pushed("approve", "m@1", "--to", alias.swapcase()).code == 0
    assert pushed("reject", "m@1", "--to", alias, "--reason", "no").code == 0  # replaces the approval
    assert pushed("alias", "m@1", alias).code == 5
    assert pushed("reject", "m@1", "--to", alias.upper(), "--withdraw").code == 0
    assert pushed("approve", "m@1", "--to", alias).code == 0
    assert pushed("alias", "m@1", alias).code == 0


def test_a_gate_with_an_alias_holds_in_any_case(pushed: Mreg) -> None:
    assert pushed("alias", "m@1", "Champion").code == 0
    Path("policy.yaml").write_text("Production: {gates: [accuracy >= CHAMPION.accuracy, alias != champion]}\n")
    assert pushed("policy", "apply", "policy.yaml").code == 0
    done = pushed("promote", "m@2", "--to", "production")
    assert (done.code, "accuracy 0.8, and champion.accuracy = 0.9 of m@1" in done.err) == (3, True), done.err
    assert pushed("promote", "m@1", "--to", "production").code == 3


def test_two_spellings_of_an_older_release_can_be_read_and_become_one_when_the_alias_is_set(pushed: Mreg) -> None:
    assert pushed("alias", "m@1", "champion").code == 0
    two_spellings()
    assert aliases(pushed) == {"Champion": 2, "champion": 1}
    shown = [pushed("show", f"m@{alias}", "-q").out for alias in SPELLINGS]
    assert shown == ["m@1\n", "m@2\n", "m@2\n", "m@2\n"]
    for words in (["list"], ["show", "m"], ["history", "m"], ["search", ""], ["doctor"], ["audit", "verify"]):
        assert pushed(*words).code == 0, words
    assert pushed("export", "m").code == 0
    assert pushed("import", "m.mreg", "--name", "other").code == 0
    assert pushed("alias", "m@1", "champion").code == 0
    assert aliases(pushed) == {"champion": 1}
    two_spellings()
    assert pushed("alias", "m", "--remove", "champion").code == 0
    assert aliases(pushed) == {"Champion": 2}


def test_two_rules_of_an_older_release_become_one_that_asks_for_both(pushed: Mreg) -> None:
    document = {
        "aliases": {"Champion": {"gates": ["accuracy >= 0.85"], "override": True}, "champion": {"approvals": 1}}
    }
    with pytest.raises(BadInput, match="Champion and champion are the same alias"):
        parse_policy(document)
    with mreg.open_registry() as registry, pytest.raises(BadInput, match="are the same alias"):
        registry.apply_policy(Policy({"Champion": Rule(), "champion": Rule()}))
    assert parse_policy(document, stored=True) == Policy(
        {"Champion": Rule(gates=("accuracy >= 0.85",), approvals=1, override=False)}
    )
    Path("policy.yaml").write_text("aliases: {Champion: {approvals: 1}}\n")
    assert pushed("policy", "apply", "policy.yaml").code == 0
    raw = sqlite3.connect(Path.home() / ".local/share/mreg/catalog.db")
    with raw:
        raw.execute("UPDATE policies SET document = ?", (json.dumps(document),))
    raw.close()
    assert pushed("alias", "m@2", "champion").code == 3
    assert pushed("alias", "m@1", "CHAMPION").code == 5


@pytest.mark.parametrize("kind", KINDS)
def test_every_catalog_compares_aliases_alike(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    catalog = catalogs_of(kind, request, monkeypatch, tmp_path)()
    with mreg.open_registry(catalog=catalog, artifacts=str(tmp_path / "artifacts"), user="ada") as registry:
        for number, accuracy in ((1, 0.9), (2, 0.8)):
            Path("model").write_text(str(number))
            registry.push("model", name="m", metrics={"accuracy": accuracy})
        registry.set_alias("m@1", "Champion")
        registry.apply_policy(Policy({"champion": Rule(gates=("accuracy >= champion.accuracy",), override=True)}))
        with pytest.raises(GateFailed):
            registry.set_alias("m@2", "CHAMPION")
        registry.remove_alias("m", "champion", override="gone")
        with pytest.raises(GateFailed):
            registry.set_alias("m@2", "CHAMPION")
        registry.set_alias("m@2", "CHAMPION", override="wanted")
        assert registry.version("m@champion").version == 2
        assert registry.version("m@champion~1").version == 1
        assert [one.version for one in registry.search("alias = Champion")] == [2]


def test_the_known_spelling_is_the_exact_one_else_the_first() -> None:
    assert spelled("B", ["a", "b"]) == "b"
    assert spelled("b", ["B", "b"]) == "b"
    assert spelled("bB", ["Bb", "BB"]) == "BB"
    assert spelled("c", ["a", "b"]) is None
    assert folded("A.b-C") == "a.b-c"
