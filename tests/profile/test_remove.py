"""Removing a profile from the profile file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mreg.errors import BadProfile
from mreg.profile.edit import add_profile, remove_profile, use_profile
from mreg.profile.load import list_profiles, load_profile
from tests.conftest import Mreg

FILE = """\
# mine
default: team   # of the team
profiles:
  # the shared one
  team:
    # its place
    catalog: /x/c.db

    hooks:
      - command: ["true"]
        stage: Production

  # the drive
  "nas": {catalog: /nas/c.db}  # keep me
  other:
      user: me
"""


@pytest.fixture
def file() -> Path:
    path = Path(os.environ["HOME"]) / ".config" / "mreg" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(FILE)
    return path


def test_the_profile_is_removed_and_all_else_stays(file: Path, command: Mreg) -> None:
    done = command("profile", "remove", "team")
    assert (done.code, file.read_text()) == (2, FILE)
    assert "confirmation required: remove the profile team" in done.err
    done = command("profile", "remove", "team", "--yes")
    assert done.code == 0
    assert file.read_text() == (
        "# mine\nprofiles:\n  # the shared one\n\n  # the drive\n"
        '  "nas": {catalog: /nas/c.db}  # keep me\n  other:\n      user: me\n'
    )
    assert f"removed team from {file}; its catalog and its artifacts were not deleted" in done.err
    assert "team was the default; now it is local; to choose another: mreg profile use NAME" in done.err
    assert load_profile().name == "local"
    assert command("profile", "remove", "nas", "--yes", "-q").out == "local\nother\n"
    assert command("profile", "remove", "other", "--yes").code == 0
    assert [entry.name for entry in list_profiles()] == ["local"]
    add_profile("again", {"user": "x"})
    assert [entry.name for entry in list_profiles()] == ["local", "again"]


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [("tema", 4, "did you mean team?"), ("local", 2, "it is built in"), ("../x", 4, "mreg profile list")],
)
def test_a_profile_that_is_not_in_the_file_is_an_error(
    name: str, code: int, words: str, file: Path, command: Mreg
) -> None:
    done = command("profile", "remove", name, "--yes")
    assert (done.code, words in done.err, file.read_text()) == (code, True, FILE)


@pytest.mark.parametrize(
    "text",
    [
        "profiles: {a: {user: x}, b: {}}\n",
        "profiles:\n  a: {user: x,\n user: y}\n",
        "profiles:\n    ? a\n    : user: x\n",
    ],
)
def test_a_file_of_another_form_is_left_alone(text: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(BadProfile):
        remove_profile("a")
    assert file.read_text() == text
    assert [path.name for path in file.parent.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("name", ["null", "1e5", "a.b", "x-1"])
def test_any_name_that_can_be_added_can_be_removed(name: str, file: Path) -> None:
    add_profile(name, {"user": "y"})
    use_profile(name)
    assert remove_profile(name).was_default
    assert file.read_text() == FILE.replace("default: team   # of the team\n", "")


def test_a_broken_profile_can_be_removed(file: Path, command: Mreg) -> None:
    file.write_text("profiles:\n  bad:\n    catalog: postgres://me:hunter2@db/x\n    artifacts: ${NOT_SET}\n")
    done = command("profile", "remove", "bad", "--yes")
    assert (done.code, file.read_text(), "hunter2" in done.err) == (0, "profiles:\n", False)


def test_other_places_that_name_the_profile_are_told(
    file: Path, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mreg.yaml").write_text("profile: other\n")
    done = command("profile", "remove", "other", "--yes")
    assert (done.code, f"{Path('mreg.yaml').resolve()}, line 1 still names other" in done.err) == (0, True)
    monkeypatch.setenv("MREG_PROFILE", "nas")
    done = command("profile", "remove", "nas", "--yes")
    assert (done.code, "MREG_PROFILE still names nas: unset MREG_PROFILE" in done.err) == (0, True)
