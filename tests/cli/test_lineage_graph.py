"""Lineage with runs, commits and data, as a table, JSON, Mermaid and Graphviz."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Mreg

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def family(command: Mreg) -> Mreg:
    for number, more in enumerate(
        (
            ["-n", "base", "--data", f"corpus=s3://lake/corpus@{DIGEST}", "--run-id", "run-1"],
            ["-n", "llm", "--parent", "base@1", "--data", "labels=git:labels.csv@v7"],
            ["-n", "small", "--parent", "llm@1"],
        )
    ):
        Path("model").write_text(str(number))
        assert command("push", "model", *more).code == 0
    return command


def test_data_is_kept_and_shown(family: Mreg) -> None:
    shown = json.loads(family("show", "base@1", "--json").out)
    assert shown["data"] == {"corpus": f"s3://lake/corpus@{DIGEST}"}
    assert f"data.corpus\ts3://lake/corpus@{DIGEST}" in family("show", "base@1").out
    rows = family("lineage", "llm@1").out.splitlines()
    assert rows[1].endswith(f"base@1\tNone\trun-1\t\tcorpus=s3://lake/corpus@{DIGEST}")
    assert rows[2].endswith("llm@1\tNone\t\t\tlabels=git:labels.csv@v7")
    assert json.loads(family("lineage", "llm@1", "--json").out)["parents"][0]["data"] == shown["data"]
    differs = json.loads(family("compare", "base@1", "llm@1", "--json").out)["changes"]
    assert {change["name"] for change in differs if change["group"] == "data"} == {"corpus", "labels"}


def test_the_graphs_have_versions_runs_and_data(family: Mreg) -> None:
    mermaid = family("lineage", "llm@1", "--graph", "mermaid").out
    assert mermaid.startswith("graph TD\n")
    for label in ("llm@1 (None)", "base@1 (None)", "small@1 (None)", "run run-1", "data labels git#58;labels.csv@v7"):
        assert f'["{label}"]' in mermaid
    assert mermaid.count("-->|parent|") == 2
    dot = family("lineage", "llm@1", "--graph", "dot").out
    assert '"base@1" -> "llm@1" [label="parent"];' in dot
    assert '"llm@1" -> "small@1" [label="parent"];' in dot
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=dot.encode(), check=True, capture_output=True)
    assert family("lineage", "llm@1", "--graph", "ascii").code == 2


def test_nothing_that_is_stored_becomes_markup(command: Mreg) -> None:
    Path("model").write_text("x")
    evil = 'a"]; click n0 "javascript:x" --> [<b>\\'
    assert command("push", "model", "-n", "m", "--data", f"d={evil}").code == 0
    mermaid = command("lineage", "m@1", "--graph", "mermaid").out
    assert re.fullmatch(r'(graph TD\n)(    n\d+\["[^"\]]*"\]\n|    n\d+ -->(\|parent\|)? n\d+\n)+', mermaid)
    dot = command("lineage", "m@1", "--graph", "dot").out
    assert '\\"]; click n0 \\"javascript:x\\"' in dot


@pytest.mark.parametrize("value", ["", "a\nb", "s3://key:secret@bucket/x", "x@sha256:zz", "x" * 100_000])
def test_a_reference_to_data_that_can_not_be_kept_is_refused(value: str, command: Mreg) -> None:
    Path("model").write_text("x")
    done = command("push", "model", "-n", "m", "--data", f"d={value}")
    assert done.code == 2
    assert "secret" not in done.err
    assert command("show", "m").code == 4


def test_a_cycle_is_refused(family: Mreg) -> None:
    done = family("edit", "base@1", "--parent", "small@1")
    assert (done.code, done.err.splitlines()[0]) == (
        1,
        "error: small@1 cannot be the parent of base@1: it is a descendant",
    )
