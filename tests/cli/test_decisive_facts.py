"""What a command says is true, and holds the fact on which the next step depends."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.domain.policy import Policy
from tests.conftest import Mreg


def push(registry: mreg.Registry, *contents: str, name: str = "m", **options: Any) -> None:
    for content in contents:
        Path("m.bin").write_text(content)
        registry.push("m.bin", name=name, **options)


@pytest.fixture
def partly_archived(registry: mreg.Registry) -> mreg.Registry:
    """Version 3 is the latest of m; 4 and 5 are archived."""
    push(registry, *"12345")
    for number in (4, 5):
        registry.archive(f"m@{number}")
    return registry


@pytest.mark.parametrize("limit", [[], ["--limit", "1"], ["--limit", "2"]])
def test_a_list_and_a_model_agree_on_the_primary_metric(
    command: Mreg, registry: mreg.Registry, limit: list[str]
) -> None:
    push(registry, "1", metrics={"accuracy": 0.9, "loss": 1})
    push(registry, "2", metrics={"recall": 0.8})
    push(registry, "3", metrics={"auc": 0.8, "zeta": 2})
    listed = json.loads(command("list", "--json").out)[0]
    shown = json.loads(command("show", "m", *limit, "--json").out)
    assert registry.show("m", limit=1).metric == "auc"  # type: ignore[union-attr]
    assert registry.models()[0].metric == "auc"
    assert listed["metric"] == "auc"
    assert shown.get("metric", "auc") == "auc"


def test_a_list_marks_a_latest_version_that_is_not_the_newest(command: Mreg, partly_archived: mreg.Registry) -> None:
    push(partly_archived, "x", name="whole")
    drawn = command("list", "--format", "table").out
    assert re.search(r"m\W+3 \*", drawn)
    assert re.search(r"whole\W+1\s", drawn)
    assert "* newer versions are archived; mreg show NAME lists them" in drawn
    assert command("list", "--format", "plain").out.splitlines()[2].split("\t")[:2] == ["m", "3"]
    partly_archived.delete("m", force=True)
    assert "newer" not in command("list", "--format", "table").out


def test_a_model_says_which_newer_versions_are_archived(command: Mreg, partly_archived: mreg.Registry) -> None:
    assert "3 (newer versions up to 5 are archived)" in command("show", "m", "--format", "table", "--limit", "1").out
    partly_archived.delete("m@5")
    assert "3 (version 4 is archived)" in command("show", "m", "--format", "table").out
    for number in (1, 2, 3):
        partly_archived.archive(f"m@{number}")
    assert "none (all versions are archived)" in command("show", "m", "--format", "table").out


@pytest.mark.parametrize(
    "words",
    [["pull", "m", "out.bin"], ["show", "m@latest"], ["why", "m"], ["export", "m@latest"], ["compare", "m", "1"]],
)
def test_a_reference_to_the_latest_says_which_newer_versions_are_archived(
    command: Mreg, partly_archived: mreg.Registry, words: list[str]
) -> None:
    if words[0] == "compare":
        words = ["compare", "m@1", "latest"]
    done = command(*words)
    assert done.code == 0
    assert "is m@3; newer versions up to 5 are archived\n" in done.err
    assert "archived" not in command("show", "m@3").err


def test_a_version_that_was_deleted_is_told_apart_from_one_that_never_was(
    command: Mreg, partly_archived: mreg.Registry
) -> None:
    partly_archived.delete("m@2")
    gone = command("show", "m@2")
    assert gone.code == 4
    assert "m has no version 2: tester deleted it at 2" in gone.err
    assert "mreg history m@2" in gone.err
    never = command("show", "m@9")
    assert never.code == 4
    assert "m has no version 9\n" in never.err


def age(registry: mreg.Registry, seconds: float) -> None:
    then = time.time() - seconds
    for folder, _, names in os.walk(registry.profile.artifacts):
        for name in names:
            os.utime(os.path.join(folder, name), (then, then))


def test_gc_says_how_much_is_younger_than_the_grace(command: Mreg, registry: mreg.Registry) -> None:
    push(registry, "needed")
    assert command("gc").err == ""
    for name in ("a", "b"):
        push(registry, name * 500_000, name=name)
        registry.delete(name)
    assert command("verify", "--format", "table").out.count("2 unreferenced blobs, 1 MB (mreg gc)") == 1
    done = command("gc", "--json")
    assert json.loads(done.out) == []
    told = re.fullmatch(
        r"too young to remove: 2 unreferenced blobs, 1 MB, within the grace period of 24h; the first can be removed from "
        r"(\S+Z); to list all: mreg gc --grace 0s\n",
        done.err,
    )
    assert told
    shown = command("gc", "--grace", "0s", "--json")
    assert sum(one["size_bytes"] for one in json.loads(shown.out)) == 1_000_000
    assert "too young" not in shown.err
    assert command("gc", "-q").err == ""
    age(registry, 3600 * 25)
    old = command("gc")
    assert "too young" not in old.err
    assert len(old.out.splitlines()) == 3


def test_gc_says_it_once_and_also_when_it_removes(command: Mreg, registry: mreg.Registry) -> None:
    push(registry, "old", name="a")
    registry.delete("a")
    age(registry, 7200)
    push(registry, "young", name="b")
    registry.delete("b")
    done = command("gc", "--grace", "90m", "--remove", "--yes")
    assert (
        "too young to remove: 1 unreferenced blob, 5 bytes, within the grace period of 90m; it can be removed from 2"
        in done.err
    )
    assert len(done.out.splitlines()) == 2
    again = command("gc", "--grace", "90m", "--remove")  # finds nothing, so asks nothing
    assert again.code == 0
    assert again.err.count("too young") == 1


def test_gc_tells_of_young_uploads_too(command: Mreg, registry: mreg.Registry) -> None:
    push(registry, "one")
    incoming = Path(registry.profile.artifacts.removeprefix("file://")) / "tmp"
    incoming.mkdir(exist_ok=True)
    (incoming / ("0" * 24)).write_bytes(b"half")
    found = [one.name for one in registry.gc(grace=timedelta(0))]
    assert found == []
    done = command("gc", "--grace", "0s")
    assert re.fullmatch(
        r"too young to remove: 1 unfinished upload, 4 bytes, within the minimum of 1h, in which a push can still write "
        r"to it; it can be removed from 2\S+Z\n",
        done.err,
    )
    (incoming / ("1" * 24)).write_bytes(b"half")
    assert "in which a push can still write to them; the first can" in command("gc", "--grace", "0s").err
    older = "within the grace period of 24h; the first can be removed from "
    assert re.search(rf"{older}\S+Z; to list those that are older than 1h: mreg gc --grace 1h\n", command("gc").err)


def test_gc_repeats_its_options_in_the_command_that_removes(command: Mreg, registry: mreg.Registry) -> None:
    push(registry, "one", name="a")
    registry.delete("a")
    done = command("--profile", "local", "gc", "--grace", "0s")
    assert done.err == "nothing was removed; to remove it: mreg --profile local gc --grace 0s --remove\n"


POLICIES = [
    ({"Production": {"gates": ["accuracy >= 0.9"]}}, 3, "the new version does not pass a gate of Production", "accuracy"),
    ({"Production": {"approvals": 2}}, 5, "Production needs 2 approvals, which a new version does not have", "approve"),
    ({"Production": {"from": "Staging"}}, 1, "only versions from Staging are allowed to enter Production", "--stage staging"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "code", "why", "hint"), POLICIES, ids=["gate", "approvals", "from"])
def test_a_refused_push_names_no_version(
    command: Mreg, registry: mreg.Registry, rules: dict[str, object], code: int, why: str, hint: str
) -> None:
    registry.apply_policy(_policy(rules))
    push(registry, "1")
    Path("m.bin").write_text("2")
    done = command("push", "m.bin", "-n", "m", "--accuracy", "0.5", "--stage", "production")
    assert done.code == code
    assert f"error: the push to m was refused and no version was added: {why}\n" in done.err
    assert hint in done.err
    assert "m@2" not in done.err
    assert [version.version for version in registry.show("m").versions] == [1]  # type: ignore[union-attr]


def test_a_refused_push_under_a_protected_alias_names_no_version(command: Mreg, registry: mreg.Registry) -> None:
    registry.apply_policy(_policy({"aliases": {"champion": {"gates": ["accuracy >= 0.9"]}}}))
    Path("m.bin").write_text("2")
    done = command("push", "m.bin", "-n", "new", "--alias", "champion")
    assert done.code == 3
    assert "the push to new was refused and no version was added: the new version does not pass a gate of champion" in (
        done.err
    )
    assert registry.models() == ()


def _policy(rules: dict[str, object]) -> Policy:
    from mreg.documents import read_policy

    Path("policy.json").write_text(json.dumps(rules))
    return read_policy("policy.json")


def test_a_plot_of_few_versions_says_that_they_are_few(command: Mreg, registry: mreg.Registry) -> None:
    push(registry, "1", metrics={"accuracy": 0.9})
    push(registry, "2", metrics={"loss": 0.9})
    done = command("show", "m", "--limit", "1", "--plot", "accuracy", "--format", "table")
    assert done.code == 4
    assert "no version of m within --limit 1 has the metric 'accuracy'" in done.err
    push(registry, "3", name="bare")
    assert "no version of bare has a metric\n" in command("show", "bare", "--plot-file", "x.svg").err


def test_deployments_that_are_not_shown_are_told(command: Mreg, registry: mreg.Registry) -> None:
    Path("hooks.yaml").write_text(
        f"profiles:\n  local:\n    catalog: {registry.profile.catalog}\n    artifacts: {registry.profile.artifacts}\n"
        "    hooks:\n"
        + "".join(
            f"      - name: h{place}\n        on: version.pushed\n        command: ['true']\n" for place in range(35)
        )
    )
    Path("m.bin").write_text("1")
    Path(registry.profile.catalog).parent.mkdir(parents=True)
    with mreg.open_registry("local", config="hooks.yaml") as hooked:
        push(hooked, "1", "2", "3")
    done = command("deployments", "m")
    assert len(done.out.splitlines()) == 101
    assert done.err == "only the newest 100 are shown; --limit N shows more\n"
    assert len(command("deployments", "m", "--limit", "102").out.splitlines()) == 103
    assert command("deployments", "m", "--limit", "5").err == ""
