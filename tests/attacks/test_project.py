"""A project folder that another person prepared: its mreg.yaml sends nothing elsewhere and runs nothing."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from mreg.errors import BadProfile
from mreg.profile.load import load_profile
from mreg.profile.trust import trusted_folders
from tests.conftest import Done, Mreg
from tests.hostile import attack, environment, untouched
from tests.servers import Place

OTHER_USER = 65534


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cloned folder with a model in it, which is the working folder."""
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    monkeypatch.chdir(folder)
    return folder


def user_file(text: str) -> Path:
    path = Path(os.environ["HOME"]) / ".config/mreg/config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def say(folder: Path, text: str) -> Path:
    file = folder / "mreg.yaml"
    file.write_text(text)
    return file


def give_to_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file or folder another user's; where only root may do that, this process is another user instead."""
    if os.geteuid() == 0:
        os.chown(path, OTHER_USER, OTHER_USER)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: OTHER_USER)


def test_a_clone_can_not_send_a_model_to_a_bucket(project: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # The user's credentials and endpoint are in the environment, as they are where buckets are used daily.
    monkeypatch.setenv("MREG_ENDPOINT_URL", place.endpoint)
    file = say(project, f"model: x\nartifacts: {place.url}\n")
    done = attack("push", "model.pkl", "-n", "x")
    assert done.code == 2
    assert done.err.decode() == (
        f"error: {file}, line 2: the project file sets artifacts to {place.url}, and this folder is not trusted\n"
        f"  mreg trust {project}\n"
    )
    assert place.keys() == []
    assert attack("trust").code == 0
    assert attack("push", "model.pkl", "-n", "x", "-q").out == b"x@1\n"
    assert place.keys()


STORES = {
    "artifacts": "artifacts: s3://evil-bucket/x\n",
    "catalog": "catalog: s3://evil-bucket/x/catalog.db\n",
    "both": "catalog: s3://evil-bucket/x/catalog.db\nartifacts: s3://evil-bucket/x\n",
    "catalog inside": "catalog: .mreg/catalog.db\nartifacts: s3://evil-bucket/x\n",
    "artifacts inside": "catalog: s3://evil-bucket/x/catalog.db\nartifacts: .mreg/artifacts\n",
}
COMMANDS = [
    ["list"], ["push", "model.pkl"], ["pull", "x@1"], ["doctor"], ["gc", "--remove", "--yes"], ["verify"], ["profile", "show"],
    ["profile", "check"], ["backup", "b.db"], ["restore", "b.db", "--yes"], ["serve", "--port", "0"], ["export", "x"],
    ["catalog", "copy", "--from-profile", "local", "--to-profile", "local"],
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_refuses_a_store_outside_the_folder(project: Path, command: Mreg, words: list[str]) -> None:
    say(project, STORES["both"])
    done = command(*words)
    assert (done.code, "this folder is not trusted" in done.err, "mreg trust" in done.err) == (2, True, True), done
    assert done.out == ""


@pytest.mark.parametrize("text", STORES.values(), ids=STORES)
def test_one_half_outside_is_as_bad_as_both(project: Path, command: Mreg, text: str) -> None:
    user_file("default: team\nprofiles:\n  team: {catalog: /team/catalog.db, artifacts: /team/artifacts}\n")
    say(project, text)
    done = command("list", "--json")
    assert done.code == 2
    said = json.loads(done.err)
    assert said["code"] == "bad_profile"
    assert said["details"]["store"].startswith("s3://evil-bucket/x")
    assert said["details"]["file"] == str(project / "mreg.yaml")


def test_words_after_tab_do_not_open_a_store_that_is_not_allowed(project: Path, process: Mreg) -> None:
    say(project, STORES["both"])
    words = {"COMP_WORDS": "mreg show cl", "COMP_CWORD": "2", "_MREG_COMPLETE": "complete_bash"}
    done = process(env=environment(**words))
    assert (done.out.strip(), done.err) == ("", "")


def test_a_store_that_a_profile_of_the_user_names_is_allowed(project: Path) -> None:
    user_file(
        "profiles:\n  team:\n    artifacts: s3://team/x\n  odd:\n    catalog: ${UNSET}\n"
        "  minio:\n    artifacts: s3://models/x\n    endpoint_url: https://minio.example\n"
    )
    say(project, "artifacts: s3://team/x\n")
    assert load_profile().artifacts == "s3://team/x"
    say(project, "profile: team\n")
    assert load_profile().artifacts == "s3://team/x"
    say(project, "profile: minio\nartifacts: s3://models/x\n")
    assert load_profile().endpoint_url == "https://minio.example"
    # The bucket of that name at AWS, or at another endpoint, may be somebody else's.
    for text in ("artifacts: s3://models/x\n", "profile: minio\nartifacts: s3://team/x\n"):
        say(project, text)
        with pytest.raises(BadProfile, match="this folder is not trusted"):
            load_profile()


def test_halves_of_two_stores_of_the_user_are_no_store_of_the_user(project: Path) -> None:
    # With the catalog of one and the artifacts of the other, gc would take every artifact for garbage.
    user_file("profiles:\n  a: {artifacts: 's3://team/a'}\n  b: {artifacts: 's3://team/b'}\n")
    say(project, "catalog: s3://team/a/catalog.db\nartifacts: s3://team/b\n")
    with pytest.raises(BadProfile, match="this folder is not trusted"):
        load_profile()


def test_a_catalog_of_the_project_is_not_put_over_the_users_artifacts(project: Path, command: Mreg) -> None:
    place = project.parent / "team"
    place.mkdir()
    user_file(f"default: team\nprofiles:\n  team: {{catalog: {place}/catalog.db, artifacts: {place}/artifacts}}\n")
    assert command("push", "model.pkl", "-n", "x").code == 0
    for blob in (place / "artifacts").rglob("*"):
        os.utime(blob, (0, 0))
    say(project, "catalog: .mreg/catalog.db\n")
    assert load_profile().artifacts == str(project / ".mreg/artifacts")
    with untouched(place):
        assert command("gc", "--remove", "--yes", "--grace", "0s").code == 0
    say(project, "artifacts: .mreg/artifacts\n")
    assert load_profile().catalog == str(project / ".mreg/catalog.db")


def test_a_variable_or_flag_puts_the_whole_store_of_the_project_aside(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(project, STORES["both"])
    assert load_profile(catalog="/x/c.db").artifacts == "/x/artifacts"
    assert load_profile(artifacts="/x/a").catalog == "/x/catalog.db"
    monkeypatch.setenv("MREG_ARTIFACTS", "s3://mine/x")
    assert load_profile().catalog == "s3://mine/x/catalog.db"


def test_the_half_that_is_beside_the_other_stays_inside_too(project: Path) -> None:
    (project / "artifacts").symlink_to("/etc")
    (project / "catalog.db").symlink_to("/etc/passwd")
    for text in ("catalog: c.db\n", "artifacts: a\n"):
        say(project, text)
        with pytest.raises(BadProfile, match="must be below"):
            load_profile()


def test_trust_holds_for_this_folder_and_these_values_alone(project: Path, command: Mreg) -> None:
    file = say(project, "model: a\nartifacts: s3://bucket/x\n")
    done = command("trust", "--json")
    assert done.code == 0
    assert json.loads(done.out) == {
        "folder": str(project),
        "file": str(file),
        "profile": None,
        "catalog": "s3://bucket/x/catalog.db",
        "artifacts": "s3://bucket/x",
        "server": None,
    }
    assert load_profile().artifacts == "s3://bucket/x"
    say(project, "model: b\nartifacts: s3://bucket/x\n")
    assert load_profile().model == "b"
    for text in (
        "artifacts: s3://bucket/y\n",
        "artifacts: s3://other/x\n",
        "catalog: s3://bucket/z.db\nartifacts: s3://bucket/x\n",
        "profile: local\nartifacts: s3://bucket/x\n",
    ):
        say(project, text)
        with pytest.raises(BadProfile, match="this folder is not trusted"):
            load_profile()
    say(project, "artifacts: s3://bucket/x\n")
    copy = project.parent / "copy"
    project.rename(copy)
    project.symlink_to(copy)
    os.chdir(project)
    with pytest.raises(BadProfile, match="this folder is not trusted"):
        load_profile()


def test_trust_can_be_given_for_one_run(project: Path, command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    say(project, STORES["both"])
    assert json.loads(command("profile", "show", "--trust-project", "--json").out)["artifacts"] == "s3://evil-bucket/x"
    assert command("--trust-project", "profile", "show").code == 0
    assert command("profile", "show").code == 2
    for value, code in (("1", 0), ("0", 2), ("false", 2), ("", 2)):
        monkeypatch.setenv("MREG_TRUST_PROJECT", value)
        assert command("profile", "show").code == code
    import mreg

    with mreg.open_registry(trust_project=True) as registry:
        assert registry.profile.artifacts == "s3://evil-bucket/x"
    monkeypatch.delenv("MREG_TRUST_PROJECT")
    with pytest.raises(BadProfile):
        mreg.open_registry()


@pytest.mark.parametrize("key", ["trust_project", "trust", "MREG_TRUST_PROJECT", "trusted"])
def test_a_project_can_not_trust_itself(project: Path, key: str) -> None:
    say(project, f"{key}: 1\n{STORES['both']}")
    with pytest.raises(BadProfile, match="unknown"):
        load_profile()


def test_trust_is_listed_and_taken_back(project: Path, command: Mreg) -> None:
    file = say(project, STORES["both"])
    assert command("trust", "--list", "--json").out == "[]\n"
    assert command("trust", "--remove").code == 4
    done = command("trust")
    assert done.out == (
        f"folder\tprofile\tcatalog\tartifacts\tserver\n"
        f"{project}\t\ts3://evil-bucket/x/catalog.db\ts3://evil-bucket/x\t\n"
    )
    assert str(file) in done.err
    record = Path(os.environ["HOME"]) / ".local/share/mreg/trusted.json"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert sorted(path.name for path in record.parent.iterdir()) == ["trusted.json"]
    assert command("trust", str(project), "-q").out == f"{project}\n"
    assert len(json.loads(command("trust", "--list", "--json").out)) == 1
    assert command("trust", "--remove", str(project)).code == 0
    assert command("trust", "--list", "--json").out == "[]\n"
    assert command("profile", "show").code == 2
    say(project, STORES["both"])
    command("trust")
    file.unlink()
    assert command("trust", "--remove", str(project)).code == 0
    assert command("trust").code == 4
    assert command("trust", "--list", "--remove").code == 2


def test_a_folder_named_by_a_link_is_the_folder_itself(project: Path, command: Mreg) -> None:
    say(project, "catalog: .mreg/catalog.db\nartifacts: s3://bucket/x\n")
    link = project.parent / "link"
    link.symlink_to(project)
    assert command("trust", str(link), "-q").out == f"{project}\n"
    assert load_profile().artifacts == "s3://bucket/x"
    assert command("trust", "--remove", str(link), "-q").out == f"{project}\n"


def test_folders_trusted_at_the_same_time_are_all_recorded(tmp_path: Path) -> None:
    folders = [tmp_path / f"clone{number}" for number in range(6)]
    for folder in folders:
        folder.mkdir()
        say(folder, STORES["both"])
    running = [subprocess.Popen([sys.executable, "-m", "mreg", "trust", str(folder), "-q"]) for folder in folders]
    assert [one.wait() for one in running] == [0] * 6
    assert [one.folder for one in trusted_folders(os.environ)] == sorted(map(str, folders))


def test_trust_that_can_not_be_recorded_is_reported(project: Path, command: Mreg) -> None:
    say(project, STORES["both"])
    data = Path(os.environ["HOME"]) / ".local/share"
    data.mkdir(parents=True, exist_ok=True)
    (data / "mreg").write_text("in the way")
    assert command("trust").code == 8
    assert command("list").code in (2, 8)
    assert command("trust", "/nowhere").code == 4


def test_a_record_of_trust_that_is_broken_trusts_nothing(project: Path, command: Mreg) -> None:
    say(project, STORES["both"])
    command("trust")
    record = Path(os.environ["HOME"]) / ".local/share/mreg/trusted.json"
    for text in ("", "[]", '{"folders": 1}', '{"folders": [1]}', '{"folders": [{"folder": 1}]}', "\0", "[" * 100_000):
        record.write_text(text)
        for words in (["list"], ["trust"], ["trust", "--list"], ["trust", "--remove"]):
            done = command(*words)
            assert (done.code, str(record) in done.err) == (2, True), (text, words, done)
        assert record.read_text() == text
    record.unlink()
    record.symlink_to("/dev/zero")
    assert command("list").code == 2


def test_hooks_of_the_user_do_not_run_for_a_store_that_a_project_brings(project: Path, command: Mreg) -> None:
    ran = project.parent / "ran"
    user_file(
        f"profiles:\n  prod:\n    catalog: /x/c.db\n    hooks: [{{stage: Production, command: [touch, {ran}]}}]\n"
    )
    say(project, "profile: prod\ncatalog: .mreg/catalog.db\nartifacts: .mreg/artifacts\n")
    command("push", "model.pkl", "-n", "x")
    for quiet in ((), ("-q",)):
        done = command("promote", "x@1", "--to", "production", *quiet)
        assert done.code == 0, done.err
        assert not ran.exists()
        assert "the hooks of the profile prod do not run" in done.err
    command("trust")
    command("push", "model.pkl", "-n", "x")
    done = command("promote", "x@2", "--to", "production")
    assert (done.code, "do not run" in done.err) == (0, False), done
    assert ran.exists()


# A file that another user can write


def ignored(done: Done, why: str) -> None:
    assert done.code == 0, done
    assert done.err.count("is ignored") == 1, done
    assert why in done.err
    assert "clone" not in done.out.split("\n")[0]


SHOW = ["profile", "show", "--format", "csv"]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_of_another_user_is_ignored_with_a_note(
    project: Path, command: Mreg, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    file = say(project, "model: theirs\ncatalog: .mreg/catalog.db\n")
    give_to_another(file if what == "file" else project, monkeypatch)
    (project / "deep/er").mkdir(parents=True)
    monkeypatch.chdir(project / "deep/er")
    done = command(*SHOW)
    assert (done.code, "theirs" in done.out, str(file) in done.err) == (0, False, True)
    assert "belongs to" in done.err
    assert done.err.count("is ignored") == 1
    assert f"mreg trust {project}" in done.err
    assert command(*SHOW, "-q").err.count("is ignored") == 1
    assert "theirs" in command(*SHOW, "--trust-project").out
    for words in (["list"], ["doctor"], ["profile", "list"], ["push", str(project / "model.pkl"), "-n", "x"]):
        assert command(*words).err.count("is ignored") == 1, words
    assert command("trust", str(project)).code == 0
    done = command(*SHOW)
    assert ("theirs" in done.out, done.err) == (True, "")
    file.write_text("model: theirs\nprofile: local\ncatalog: .mreg/catalog.db\n")
    assert "theirs" not in command(*SHOW).out


def test_root_under_sudo_reads_the_file_of_the_user_who_asked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = say(project, "model: theirs\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if os.stat(file).st_uid == 0:
        os.chown(file, OTHER_USER, OTHER_USER)
    assert load_profile().model == ""
    monkeypatch.setenv("SUDO_UID", str(os.stat(file).st_uid))
    assert load_profile().model == "theirs"
    for odd in ("", "x", "-1", "1" * 10_000, "٣"):
        monkeypatch.setenv("SUDO_UID", odd)
        assert load_profile().model == ""


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_a_file_in_a_folder_that_everybody_may_write_is_ignored(project: Path, command: Mreg, mode: int) -> None:
    file = say(project, "model: theirs\n")
    project.chmod(mode)
    done = command(*SHOW)
    assert (done.code, "theirs" in done.out, str(file) in done.err) == (0, False, True)
    assert f"every user can write to {project}" in done.err
    project.chmod(0o775)
    assert "theirs" in command(*SHOW).out
    file.chmod(0o666)
    assert "theirs" not in command(*SHOW).out
    file.chmod(0o664)
    assert command(*SHOW).err == ""


@pytest.mark.parametrize("kind", ["link", "inner link", "dangling link", "loop", "fifo", "device", "folder"])
def test_what_is_no_regular_file_is_ignored(project: Path, kind: str) -> None:
    file = project / "mreg.yaml"
    (project / "inner.yaml").write_text("model: theirs\n")
    outside = project.parent / "outside.yaml"
    outside.write_text("model: theirs\n")
    targets = {
        "link": str(outside),
        "inner link": "inner.yaml",
        "dangling link": "none",
        "loop": "mreg.yaml",
        "device": "/dev/zero",
    }
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(targets[kind])
    for words in (SHOW, [*SHOW, "--trust-project"]):
        done = attack(*words)
        assert done.code == 0
        assert b"theirs" not in done.out
        assert done.err.count(b"is ignored") == 1
        assert b"not a regular file" in done.err
    assert attack("trust").code == 2


def test_a_note_is_not_made_after_tab(project: Path, process: Mreg) -> None:
    say(project, "model: theirs\n")
    project.chmod(0o777)
    for words in ("mreg show cl", "mreg list --profile l", "mreg trust --remove "):
        count = str(len(words.split(" ")) - 1)
        done = process(env=environment(COMP_WORDS=words, COMP_CWORD=count, _MREG_COMPLETE="complete_bash"))
        assert done.err == ""


def test_the_reader_is_told_by_the_python_api_too(project: Path) -> None:
    import mreg

    say(project, "model: theirs\n")
    project.chmod(0o777)
    heard: list[str] = []
    with mreg.open_registry(notice=heard.append):
        assert len(heard) == 1
        assert "is ignored" in heard[0]


def test_escapes_in_a_store_are_text(project: Path) -> None:
    for text in ('artifacts: "s3://bucket/\\e[2J"\n', 'artifacts: "s3://bucket/\\u202ex"\n', 'model: "\\x9b2J"\n'):
        say(project, text)
        done = attack("list")
        assert done.code == 2
        assert b"\x1b" not in done.err
        assert attack("trust").code == 2


@pytest.mark.parametrize("name", ["mreg.yaml", "MREG.YAML", "Mreg.Yaml", "ｍreg.yaml", "mreg.yaml.", "mre\u200bg.yaml"])
def test_the_name_of_the_project_file_is_not_taken_from_the_catalog(name: str) -> None:
    from mreg.domain.paths import is_project_file
    from mreg.server.download import _disposition

    assert is_project_file(name)
    found = re.fullmatch(
        r"attachment; filename=\"churn@3-(.*)\"; filename\*=UTF-8''(.*)", _disposition(f"churn@3-{name}", name)
    )
    assert found is not None
    assert not is_project_file(unquote(found[2]))


def test_a_pull_does_not_make_a_project_file_unless_it_is_typed(command: Mreg) -> None:
    Path("src").mkdir()
    Path("into").mkdir()
    Path("src/MREG.yaml").write_text("profile: other\n")
    assert command("push", "src/MREG.yaml", "-n", "conf").code == 0
    for words in ([], ["into"], ["into/"]):
        done = command("pull", "conf@1", *words)
        assert (done.code, "'MREG.yaml' is the name of mreg's project file" in done.err) == (2, True), done.err
    assert not Path("MREG.yaml").exists()
    assert not any(Path("into").iterdir())
    assert command("pull", "conf@1", "into/mreg.yaml").code == 0


def test_names_that_are_not_the_project_file_are_taken() -> None:
    from mreg.domain.paths import is_project_file

    assert not any(map(is_project_file, ("mreg.yml", "my-mreg.yaml", "mreg.yaml.bak", "model.onnx")))
