"""Users without a home folder, a name or a place for a profile file, as in a container."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import mreg
from mreg.errors import BadProfile, Unavailable
from mreg.profile.cache import catalogs_folder
from mreg.profile.edit import add_profile
from mreg.profile.load import load_profile
from mreg.profile.trust import trusted_folders
from tests.conftest import Mreg
from tests.forking import COMMAND_LINE
from tests.servers import Place
from tests.users import Person

UNNAMED = 1_000_770_000
WITHOUT_HOME = (
    "import os\nfor name in ('HOME', 'MREG_USER', 'USER', 'LOGNAME'): os.environ.pop(name, None)\n" + COMMAND_LINE
)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root acts as another user")
@pytest.mark.skipif(sys.platform != "linux", reason="the tests of users are for Linux")
@pytest.mark.parametrize("home", ["unset", "/nonexistent", "/", "unwritable"])
def test_a_user_without_a_name_and_a_home_needs_only_the_places(home: str, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    places = {"MREG_CATALOG": str(tmp_path / "shared/catalog.db"), "MREG_ARTIFACTS": str(tmp_path / "shared/artifacts")}
    (tmp_path / "shared").mkdir()
    os.chown(tmp_path / "shared", UNNAMED, 0)
    user = Person(name="", uid=UNNAMED, gid=0, place=tmp_path, variables=places)
    user.write("model.pkl", "x")
    (user.home / "folder").mkdir()
    (user.home / "folder" / "a.txt").write_text("a")
    variables = {"MREG_USER": "", "LOGNAME": "", "USER": "", **({"HOME": home} if home.startswith("/") else {})}
    if home == "unwritable":
        (tmp_path / "unwritable").mkdir(mode=0o555)
        variables["HOME"] = str(tmp_path / "unwritable")

    def run(*words: str) -> tuple[int, str, str]:
        done = user.run(*words, script=WITHOUT_HOME if home == "unset" else COMMAND_LINE, variables=variables)
        return done.code, done.out, done.err

    assert run("push", "model.pkl", "--name", "m", "-q") == (0, "m@1\n", "")
    assert run("push", "folder", "--name", "f", "-q")[:2] == (0, "f@1\n")
    code, out, _ = run("history", "m", "--format", "csv")
    assert (code, f"uid:{UNNAMED}" in out) == (0, True)
    assert run("pull", "f@1", "pulled")[0] == 0
    assert run("pull", "f@1", "pulled")[0] == 0
    assert run("profile", "list")[0] == 0


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """No home folder, whatever the user database says."""
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("USERPROFILE", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


@pytest.mark.skipif(sys.platform != "linux", reason="platformdirs decides on other systems")
def test_without_a_home_only_what_needs_one_fails(no_home: None, tmp_path: Path, command: Mreg) -> None:
    Path("model.pkl").write_bytes(b"x")
    with mreg.open_registry(catalog=str(tmp_path / "c.db"), artifacts=str(tmp_path / "a")) as registry:
        assert registry.push("model.pkl", name="m").version == 1
    assert (catalogs_folder(), trusted_folders(os.environ)) == ("", ())
    with pytest.raises(Unavailable, match="cannot find a home folder"):
        load_profile()
    done = command("profile", "add", "p", "--catalog", "c.db")
    assert (done.code, "cannot find a home folder" in done.err) == (8, True)
    assert command("profile", "list").code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="platformdirs decides on other systems")
def test_a_bucket_needs_no_home(no_home: None, place: Place, monkeypatch: pytest.MonkeyPatch, command: Mreg) -> None:
    Path("model.pkl").write_bytes(b"x")
    monkeypatch.setenv("MREG_ARTIFACTS", place.url)
    monkeypatch.setenv("MREG_ENDPOINT_URL", place.endpoint)
    monkeypatch.setenv("MREG_CACHE", "1GB")
    done = command("push", "model.pkl", "--name", "m")
    assert done.code == 0
    assert f"created the registry {place.url}/catalog.db" in done.err
    assert "created the registry" not in command("push", "model.pkl", "--name", "n").err
    done = command("pull", "m@1", "out.pkl")
    assert (done.code, Path("out.pkl").read_bytes()) == (0, b"x")
    assert "the pull cache is not used: the home folder is missing" in done.err
    assert sorted(os.listdir()) == ["model.pkl", "out.pkl"]


@pytest.mark.parametrize("unusable", ["a file", "not writable"])
def test_an_unusable_cache_folder_is_skipped(
    unusable: str, place: Place, monkeypatch: pytest.MonkeyPatch, command: Mreg, tmp_path: Path
) -> None:
    Path("model.pkl").write_bytes(b"x")
    cache = tmp_path / "cache"
    if unusable == "a file":
        cache.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache) if unusable == "a file" else os.path.join(os.devnull, "x"))
    monkeypatch.setenv("MREG_ARTIFACTS", place.url)
    monkeypatch.setenv("MREG_ENDPOINT_URL", place.endpoint)
    monkeypatch.setenv("MREG_CACHE", "1GB")
    assert command("push", "model.pkl", "--name", "m", "-q").code == 0
    assert command("pull", "m@1", "out.pkl").code == 0


def test_the_null_device_means_no_profile_file(monkeypatch: pytest.MonkeyPatch, command: Mreg) -> None:
    add_profile("team", {})
    assert command("profile", "show", "team").code == 0
    monkeypatch.setenv("MREG_CONFIG", os.devnull)
    assert load_profile().name == "local"
    done = command("profile", "show", "team")
    assert (done.code, "profile 'team' not found" in done.err) == (4, True)
    for words in (["add", "p"], ["use", "local"]):
        done = command("profile", *words)
        assert done.code == 2
        assert done.err.splitlines()[0] == (f"error: cannot change the profile file: MREG_CONFIG is {os.devnull}")
    assert not Path(os.devnull).is_file()
    with pytest.raises(BadProfile, match="--config is"):
        add_profile("p", {}, config=os.devnull)


@pytest.mark.skipif(os.name != "posix", reason="special files are of POSIX")
@pytest.mark.parametrize("kind", ["fifo", "folder", "/dev/zero", "/dev/tty"])
def test_any_other_special_file_is_no_profile_file(
    kind: str, monkeypatch: pytest.MonkeyPatch, command: Mreg, tmp_path: Path
) -> None:
    path = Path(kind)
    if kind == "fifo":
        path = tmp_path / "fifo"
        os.mkfifo(path)
    elif kind == "folder":
        path = tmp_path
    monkeypatch.setenv("MREG_CONFIG", str(path))
    for words in (["list"], ["profile", "add", "p"]):
        done = command(*words)
        assert done.code in (2, 8)
        assert str(path) in done.err
    assert not path.is_file()


def test_a_missing_profile_file_is_named_with_its_origin(monkeypatch: pytest.MonkeyPatch, command: Mreg) -> None:
    monkeypatch.setenv("MREG_CONFIG", "none/config.yaml")
    done = command("list")
    assert done.code == 4
    place = Path("none/config.yaml").absolute()
    assert done.err == (
        f"error: the profile file '{place}' does not exist\n"
        "  MREG_CONFIG names it; add a profile to create it: mreg profile add --help\n"
    )
