"""A catalog, a manifest or a working folder that another person prepared never leads a command out of its place."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from pathlib import Path

import pytest

import mreg
from mreg.errors import AlreadyExists, BadInput, Corrupt
from tests.hostile import attack, plant, printable_only, untouched

CORRUPT = 6


@pytest.fixture
def catalog() -> Path:
    """A catalog of a file ``m@1`` and a folder ``net@1``, with its artifacts beside it."""
    Path("model.pkl").write_bytes(b"\x80\x04K\x01.")
    Path("net/sub").mkdir(parents=True)
    Path("net/config.json").write_text("{}")
    Path("net/sub/weights.bin").write_text("weights")
    with opened() as registry:
        registry.push("model.pkl", name="m", metrics={"accuracy": 0.5}, tags={"a": "b"}, aliases=("champion",))
        registry.push("net", name="net")
    os.unlink("model.pkl")
    os.rename("net", "source")
    os.mkdir("sentinel")
    plant("sentinel")
    return Path("fx/catalog.db")


def opened() -> mreg.Registry:
    return mreg.open_registry(catalog=os.path.abspath("fx/catalog.db"), artifacts=os.path.abspath("fx/artifacts"))


def change(catalog: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(catalog)
    with connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(sql, values)
    connection.close()


def run(*words: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """A command on that catalog as a process of its own: its exit code and what it said."""
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("fx/catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("fx/artifacts"))
    done = attack(*words)
    assert printable_only(done.out + done.err), done
    return done.code, done.text


NAMES = ["{sentinel}/owned", "../../evil", "../evil", "..", ".", "", "a/b", "a\\b", "..\\evil", "C:evil", "a\0b", "a\nb",
         "a\x1b[2J", "a\u202eb", "x" * 256, 7, b"model.pkl", 1.5]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", ["m", "net"])
@pytest.mark.parametrize("options", [[], ["--force"], ["."]])
def test_a_pull_never_writes_where_an_artifact_name_in_the_catalog_leads(
    catalog: Path, name: object, model: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(name, str):
        name = name.format(sentinel=os.path.abspath("sentinel"))
    stored = str(name) if isinstance(name, (int, float)) else name  # SQLite makes a text of it in a column of texts
    good = stored in ("7", "1.5")
    change(catalog, "UPDATE versions SET artifact_name = ?", name)
    with untouched("..", but=("here/fx", "here/7", "here/1.5") if good else ("here/fx",)):
        code, text = run("pull", f"{model}@1", *options, monkeypatch=monkeypatch)
    if good or (model, options) == ("net", ["."]):
        return
    assert code == CORRUPT
    assert "the row 1 of the table versions" in text or "the row 2 of the table versions" in text


@pytest.mark.parametrize("name", ["-rf", "--force", "-", ".bashrc", ".git", "..."])
@pytest.mark.parametrize("model", ["m", "net"])
def test_a_pull_asks_for_a_destination_before_it_makes_an_option_or_a_hidden_file(
    catalog: Path, name: str, model: str
) -> None:
    change(catalog, "UPDATE versions SET artifact_name = ?", name)
    os.mkdir("into")
    places: list[str | None] = [None, "into"] if model == "m" else [None]
    with opened() as registry:
        for place in places:
            with untouched("..", but=("here/fx",)), pytest.raises(BadInput) as caught:
                registry.pull(f"{model}@1", place)
            assert caught.value.message == (
                f"cannot take the destination from the catalog: the artifact name '{name}' begins with '{name[0]}'"
            )
            word = caught.value.hint.split()[3]
            assert caught.value.hint.startswith(f"mreg pull {model}@1 {'./' if place is None else 'into/'}")
            registry.pull(f"{model}@1", word)
            assert not os.path.basename(word).startswith(("-", "."))
        registry.pull(f"{model}@1", f"./{name}" if name != "..." else ".hidden")


def test_a_hint_with_a_stored_name_is_quoted_for_the_shell(catalog: Path) -> None:
    change(catalog, "UPDATE versions SET artifact_name = ?", "-$(touch PWNED) x")
    with opened() as registry, pytest.raises(BadInput) as caught:
        registry.pull("m@1")
    assert caught.value.hint == "mreg pull m@1 './$(touch PWNED) x'"


def test_a_folder_with_hidden_files_and_names_like_options_can_be_pulled(catalog: Path) -> None:
    for name in (".gitattributes", "-x", "--force", ".cache/x"):
        path = Path("source") / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    with opened() as registry:
        registry.push("source", name="net")
        assert registry.pull("net@2", "copy").destination == Path("copy").absolute()
    assert Path("copy/.gitattributes").read_text() == ".gitattributes"
    assert Path("copy/-x").read_text() == "-x"
