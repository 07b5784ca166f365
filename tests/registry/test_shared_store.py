"""Two catalogs beside one store, which a gc of either would damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Mreg


@pytest.fixture
def both(command: Mreg) -> Mreg:
    Path("two").mkdir()
    for name in ("a", "b"):
        Path(f"{name}.pkl").write_text(name)
        assert command("profile", "add", name, "--catalog", f"two/{name}.db").code == 0
    return command


NOTE = "already has blobs in "


@pytest.mark.parametrize("first", [["push", "b.pkl", "--name", "b"], ["register", "b"]])
def test_a_new_catalog_beside_the_store_of_another_is_noted(both: Mreg, first: list[str]) -> None:
    assert NOTE not in both("--profile", "a", "push", "a.pkl", "--name", "a").err
    done = both("--profile", "b", *first)
    assert done.code == 0
    assert f"the store of the new catalog {Path.cwd()}/two/b.db {NOTE}{Path.cwd()}/two/artifacts/blobs" in done.err
    assert NOTE not in both("--profile", "b", "push", "b.pkl", "--name", "b").err


def test_the_first_push_of_a_catalog_notes_nothing(both: Mreg) -> None:
    assert NOTE not in both("--profile", "a", "push", "a.pkl", "--name", "a").err


def test_a_copy_of_a_catalog_and_a_restored_one_belong_to_the_store(both: Mreg) -> None:
    both("--profile", "a", "push", "a.pkl", "--name", "a")
    assert both("--profile", "a", "backup", "a.backup").code == 0
    for words in (
        ["catalog", "copy", "--from-profile", "a", "--to-profile", "b"],
        ["--profile", "a", "restore", "a.backup", "--yes"],
    ):
        done = both(*words)
        assert (done.code, NOTE in done.err) == (0, False), done.err
        Path("two/a.db").unlink(missing_ok=True)


def test_a_refused_new_model_names_the_way_to_register_it(command: Mreg) -> None:
    Path("m.pkl").write_text("m")
    command("push", "m.pkl", "--name", "churn")
    for words in (["--existing"], ["--existing", "--dry-run"]):
        done = command("push", "m.pkl", "--name", "chrun", *words)
        assert (done.code, done.err) == (
            4,
            "error: model 'chrun' not found\n  did you mean churn?\n  to register it: mreg register chrun\n",
        )
    assert "would register new model chrun (similar: churn)" in command("push", "m.pkl", "-n", "chrun", "--dry-run").err
