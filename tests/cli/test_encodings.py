"""Locales and streams that are not UTF-8: JSON stays JSON, and a name that cannot be written is an ordinary error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import mreg

if os.fsencode("é") != "é".encode():
    pytest.skip("these tests make files with UTF-8 names", allow_module_level=True)

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A process with these variables has ASCII file names, arguments and streams."""

ENCODINGS = ("ascii", "latin-1", "cp1252", "cp037", "utf-8", "utf-8-sig", "utf-16", "utf-32", "shift_jis")

WAY_OUT = "export PYTHONUTF8=1"


@dataclass(frozen=True, slots=True)
class Raw:
    code: int
    out: bytes
    err: bytes

    @property
    def error(self) -> str:
        return self.err.decode("ascii")


def run(*words: str, **variables: str) -> Raw:
    done = subprocess.run(
        [sys.executable, "-m", "mreg", *words],
        capture_output=True, check=False, timeout=120, env={**os.environ, **variables},
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    assert b"unexpected" not in done.stderr, done.stderr
    return Raw(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def names(registry: mreg.Registry) -> mreg.Registry:
    """The model m, a file, and the model folder; their names, tags and metrics are beyond ASCII."""
    Path("modèle-Ω.pkl").write_bytes(b"bytes")
    Path("dossier/sous-é").mkdir(parents=True)
    Path("dossier/sous-é/poids.bin").write_bytes(b"weights")
    Path("dossier/a.bin").write_bytes(b"a")
    registry.push("modèle-Ω.pkl", name="m", tags={"équipe": "Ωμέγα 🚀"}, metrics={"précision": 0.5, "plain": 1})
    registry.push("dossier", name="folder", description="naïve “quotes”")
    return registry


LINUX_NAMES = pytest.mark.skipif(sys.platform == "darwin", reason="on macOS every file name is UTF-8")

READING = (["show", "m@1"], ["show", "m"], ["search", "tags.'équipe' is not null"], ["history"], ["show", "folder@1"])


def test_json_is_json_in_every_encoding_of_standard_output(names: mreg.Registry) -> None:
    for words in READING:
        plain = json.loads(run(*words, "--json").out)
        for encoding in ENCODINGS:
            done = run(*words, "--json", PYTHONIOENCODING=encoding)
            assert done.code == 0
            assert json.loads(done.out.decode("utf-8")) == plain
            assert encoding == "utf-8" or done.out.isascii()
    assert "équipe".encode() in run("show", "m@1", "--json").out


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_json_error_is_json_in_every_encoding_of_standard_error(names: mreg.Registry, encoding: str) -> None:
    done = run("show", "m@modèle", "--json", PYTHONIOENCODING=encoding)
    assert done.code == 2
    assert json.loads(done.err.decode("utf-8"))["code"] == "bad_input"


@pytest.mark.parametrize(
    "variables", [ASCII, {**ASCII, "LC_ALL": "POSIX"}, {"LC_ALL": "C"}], ids=["C", "POSIX", "plain-C"]
)
def test_json_is_json_in_every_locale(names: mreg.Registry, variables: dict[str, str]) -> None:
    for words in (["show", "m@1"], ["history"], ["list"]):
        done = run(*words, "--json", **variables)
        assert json.loads(done.out.decode("utf-8")) == json.loads(run(*words, "--json").out)


def test_unbuffered_json_is_whole(registry: mreg.Registry) -> None:
    Path("m.bin").write_bytes(b"m")
    registry.push("m.bin", name="m", parameters={f"p{place}": "é" * 4_000 for place in range(50)})
    done = run("show", "m@1", "--json", PYTHONUNBUFFERED="1")
    assert len(json.loads(done.out)["parameters"]) == 50


@LINUX_NAMES
def test_a_pull_of_a_name_that_the_locale_lacks_names_the_way_out(names: mreg.Registry) -> None:
    for words in (["pull", "m@1"], ["pull", "m@1", "--force"]):
        Path("modèle-Ω.pkl").unlink(missing_ok=True)
        done = run(*words, **ASCII)
        assert done.code == 2
        assert "mod\\xe8le-\\u03a9.pkl': the locale's encoding of file names is ascii" in done.error
        assert WAY_OUT in done.error
        assert "name another destination" in done.error
    assert not list(Path().glob(".*mreg*"))
    assert run("pull", "m@1", "model.pkl", **ASCII).code == 0
    assert Path("model.pkl").read_bytes() == b"bytes"
    assert run("pull", "m@1", **{**ASCII, "PYTHONUTF8": "1"}).code == 0
    assert Path("modèle-Ω.pkl").read_bytes() == b"bytes"


@LINUX_NAMES
def test_a_pull_of_a_folder_with_such_a_name_makes_nothing(names: mreg.Registry) -> None:
    done = run("pull", "folder@1", "copy", **ASCII)
    assert done.code == 2
    assert "cannot write 'sous-\\xe9/poids.bin': the locale's encoding of file names is ascii" in done.error
    assert WAY_OUT in done.error
    assert not os.path.lexists("copy")
    assert not list(Path().glob(".*mreg*"))


def test_an_export_and_an_import_need_no_such_names(names: mreg.Registry) -> None:
    assert run("export", "folder", "-o", "folder.mreg", **ASCII).code == 0
    assert run("import", "folder.mreg", "--name", "other", **ASCII).code == 0
    assert run("pull", "other@1", "copy").code == 0
    assert Path("copy/sous-é/poids.bin").read_bytes() == b"weights"


@LINUX_NAMES
def test_a_push_of_a_name_that_the_locale_lacks_names_the_way_out(names: mreg.Registry) -> None:
    for path in ("modèle-Ω.pkl", "dossier"):
        done = run("push", path, "--name", "new", **ASCII)
        assert done.code == 2
        assert "is not valid UTF-8" in done.error
        assert WAY_OUT in done.error
    assert "new" not in [str(one.model.name) for one in names.models()]


@LINUX_NAMES
def test_an_expression_that_the_locale_garbles_is_refused(names: mreg.Registry) -> None:
    done = run("search", "tags.team = 'é'", **ASCII)
    assert done.code == 2
    assert "not valid Unicode text" in done.error


@LINUX_NAMES
@pytest.mark.parametrize("file", ["é.db", os.fsdecode(b"\xff.db")])
def test_a_backup_may_have_any_name(names: mreg.Registry, file: str) -> None:
    for variables in ({}, ASCII):
        assert run("backup", file, "--force", **variables).code == 0
        assert run("restore", file, "--yes", **variables).code == 0
    assert names.verify_audit().events


@LINUX_NAMES
@pytest.mark.parametrize("folder", [b"\xff", "é".encode()])
def test_a_registry_works_in_a_folder_of_any_name(folder: bytes) -> None:
    os.mkdir(folder)
    os.chdir(folder)
    Path("m.bin").write_bytes(b"m")
    for words in (["init", "--local"], ["push", "m.bin", "-n", "m"], ["list"], ["verify"], ["pull", "m@1", "--force"]):
        done = run(*words, **ASCII)
        assert done.code == 0, done.err


@LINUX_NAMES
def test_a_place_that_the_locale_lacks_is_an_ordinary_error(names: mreg.Registry) -> None:
    Path("profiles.yaml").write_text(f"profiles:\n  other:\n    catalog: {Path.cwd()}/é/catalog.db\n", encoding="utf-8")
    Path("é").mkdir()
    for words in (["list"], ["push", "dossier/a.bin", "-n", "m"], ["doctor"], ["profile", "check"]):
        done = run("--config", "profiles.yaml", "--profile", "other", *words, **ASCII)
        assert done.code == 2
        assert "the locale's encoding is ascii" in done.error
        assert WAY_OUT in done.error
    assert run("--config", "profiles.yaml", "--profile", "other", "list", **{**ASCII, "PYTHONUTF8": "1"}).code == 0


@LINUX_NAMES
def test_metrics_and_git_are_read_in_every_locale(names: mreg.Registry) -> None:
    for words in (["init", "-q"], ["checkout", "-q", "-b", "brânch"], ["add", "-A"], ["commit", "-q", "-m", "é"]):
        subprocess.run(["git", *words], check=True)
    Path("metrics.json").write_text('{"précision": 0.5}', encoding="utf-8")
    done = run("push", "dossier/a.bin", "-n", "g", "--metrics-file", "metrics.json", "--json", **ASCII)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["metrics"] == {"précision": 0.5}
    assert found["source"]["git_branch"] == "brânch"
    assert found["source"]["git_commit"]


def test_completion_offers_no_word_that_standard_output_lacks(names: mreg.Registry) -> None:
    for shell in ("bash", "zsh", "fish"):
        words = ["mreg show m --plot "] if shell == "bash" else ["show", "m", "--plot", ""]
        assert run(*words, _MREG_COMPLETE=shell).out.decode().split() == ["plain", "précision"]
        assert run(*words, _MREG_COMPLETE=shell, **ASCII).out.split() == [b"plain"]
