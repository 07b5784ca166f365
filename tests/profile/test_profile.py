"""Where things are: precedence, origins, and what a file may not say."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mreg.errors import AlreadyExists, BadProfile, MregError, NotFound
from mreg.profile.edit import add_profile, init_project, use_profile
from mreg.profile.load import list_profiles, load_profile
from mreg.results.profiles import Profile
from tests.conftest import Mreg


def user_file(text: str) -> Path:
    path = Path(os.environ["HOME"]) / ".config" / "mreg" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_anything_it_is_the_users_data_folder() -> None:
    home = os.environ["HOME"]
    profile = load_profile()
    assert (profile.name, profile.catalog, profile.artifacts) == (
        "local",
        f"{home}/.local/share/mreg/catalog.db",
        f"{home}/.local/share/mreg/artifacts",
    )
    assert profile.origins["catalog"] == "default"


@pytest.mark.skipif(sys.platform != "linux", reason="the rule that stands for platformdirs is Linux's")
@pytest.mark.parametrize(
    "variables", [{}, {"XDG_DATA_HOME": "/x/data", "XDG_CONFIG_HOME": "/x/config"}, {"XDG_DATA_HOME": "relative"}]
)
def test_the_folders_are_those_of_platformdirs(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if variables.get("XDG_DATA_HOME") != "relative":  # the specification says to ignore a relative one
        assert load_profile().catalog == f"{platformdirs.user_data_dir('mreg')}/catalog.db"
    assert os.path.isabs(load_profile().catalog)


def test_a_flag_beats_a_variable_beats_the_project_beats_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    file = user_file(
        "default: nas\nprofiles:\n  nas:\n    catalog: /nas/c.db\n    artifacts: /nas/a\n    model: user\n    user: me\n"
    )
    monkeypatch.delenv("MREG_USER")
    profile = load_profile()
    assert (profile.name, profile.catalog, profile.model, profile.user) == ("nas", "/nas/c.db", "user", "me")
    assert profile.origins["model"] == f"{file}, line 6"
    project = Path("mreg.yaml").resolve()
    project.write_text("# mine\nmodel: project\n")
    assert (load_profile().model, load_profile().origins["model"]) == ("project", f"{project}, line 2")
    monkeypatch.setenv("MREG_MODEL", "variable")
    assert (load_profile().model, load_profile().origins["model"]) == ("variable", "MREG_MODEL")
    assert load_profile(catalog="/flag/c.db").catalog == "/flag/c.db"
    assert load_profile(catalog="/flag/c.db").artifacts == "/nas/a"
    Path("deep/er").mkdir(parents=True)
    monkeypatch.chdir("deep/er")
    monkeypatch.delenv("MREG_MODEL")
    assert load_profile().model == "project"


def test_one_place_alone_brings_the_other_beside_it() -> None:
    assert load_profile(catalog="/x/c.db").artifacts == "/x/artifacts"
    assert load_profile(artifacts="/x/a").catalog == "/x/catalog.db"
    assert load_profile(artifacts="s3://bucket/x").catalog == "s3://bucket/x/catalog.db"
    assert load_profile(catalog="s3://bucket/x/c.db").artifacts == "s3://bucket/x"
    assert load_profile(catalog="s3://bucket/c.db").artifacts == "s3://bucket"
    with pytest.raises(BadProfile):
        load_profile(catalog="postgresql://db/x")


@pytest.mark.parametrize(
    "place",
    [
        "postgresql://db/x?sslpassword=hunter2", "s3://me:hunter2@bucket/c.db", "s3://bucket", "s3://bucket/",
        "s3://bucket/x/", "s3://bucket//c.db", "s3://bucket/../c.db", "mysql://me:hunter2@db/x",
    ],
)  # fmt: skip
def test_a_catalog_that_can_not_be_or_has_a_secret_is_refused(place: str) -> None:
    with pytest.raises(BadProfile) as caught:
        load_profile(catalog=place, artifacts="/x")
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "place", ["postgresql:///x?service=mreg", "postgresql://me@db:5433/x?sslmode=verify-full&passfile=/p"]
)
def test_a_server_may_be_named_with_its_parameters(place: str) -> None:
    assert load_profile(catalog=place, artifacts="/x").catalog == place


def test_a_project_file_can_not_send_somebody_to_a_server() -> None:
    Path("mreg.yaml").write_text("catalog: postgresql://evil.example/x\n")
    with pytest.raises(BadProfile, match="cannot name a database server"):
        load_profile()


def test_relative_places_are_relative_to_the_file_that_says_them() -> None:
    file = user_file("profiles:\n  p:\n    catalog: c.db\n    artifacts: ~/a\n")
    profile = load_profile(profile="p")
    assert profile.catalog == str(file.parent / "c.db")
    assert profile.artifacts == f"{os.environ['HOME']}/a"


def test_variables_are_filled_in_the_users_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    file = user_file("profiles:\n  p:\n    catalog: ${WHERE}/c.db\n    user: ${WHO}\n")
    monkeypatch.setenv("WHERE", "/there")
    with pytest.raises(BadProfile) as caught:
        load_profile(profile="p")
    assert caught.value.message == f"{file}, line 4: the environment variable WHO is not set"
    monkeypatch.setenv("WHO", "you")
    assert load_profile(profile="p").catalog == "/there/c.db"
    Path("mreg.yaml").write_text("model: ${WHO}\n")
    with pytest.raises(BadProfile, match="environment variables are not expanded in a project file"):
        load_profile()


BAD_USER_FILES = [
    ("- 1\n", "line 1: a profile file must be a mapping", None),
    ("profles: {}\n", "line 1: unknown key 'profles'", "did you mean profiles?"),
    ("profiles:\n  p:\n    catlog: x\n", "line 3: unknown key 'catlog'", "did you mean catalog?"),
    ("profiles:\n  p:\n    catalog: [x]\n", "line 3: catalog must be a string", None),
    ("profiles:\n  p: x\n", "line 2: a profile must be a mapping", None),
    ("profiles:\n  p: {}\n  p: {}\n", "line 3: duplicate key 'p'", None),
    (
        "profiles:\n\tp: {}\n",
        "line 2: invalid YAML: found character '\\t' that cannot start any token",
        "indent with spaces",
    ),
    ("profiles:\n  ../p: {}\n", "line 2: invalid profile name '../p'", None),
    ("a: !!python/object/apply:os.system [id]\n", "line 1: the tag", None),
    (
        "profiles:\n  p:\n    catalog: postgresql://me:secret@db/x\n    artifacts: /a\n",
        "line 3: the URL of catalog contains a password",
        None,
    ),
    (
        "profiles:\n  p:\n    catalog: http://x\n    artifacts: /a\n",
        "line 3: unsupported URL scheme of catalog: http://",
        None,
    ),
    (
        "profiles:\n  p:\n    endpoint_url: https://secret@x\n",
        "line 3: the URL of endpoint_url contains a user name",
        None,
    ),
    ("profiles:\n  p:\n    endpoint_url: x\n", "line 3: endpoint_url must begin with https:// or http://", None),
    (
        'profiles:\n  p:\n    catalog: "a\\e[2J"\n',
        "line 3: catalog contains unprintable characters",
        None,
    ),
]


@pytest.mark.parametrize(("text", "message", "hint"), BAD_USER_FILES, ids=range(len(BAD_USER_FILES)))
def test_a_broken_profile_file_is_exit_2_with_file_and_line(
    command: Mreg, text: str, message: str, hint: str | None
) -> None:
    file = user_file(text)
    done = command("list", "--profile", "p")
    assert done.code == 2
    assert str(file) in done.err
    assert message in done.err
    assert "secret" not in done.err
    assert hint is None or hint in done.err


def test_files_that_are_no_profile_files_are_told(command: Mreg) -> None:
    file = user_file("")
    assert command("list").code == 0
    file.unlink()
    file.symlink_to(file)
    assert command("list").code == 2
    file.unlink()
    file.mkdir()
    assert command("list").code == 2
    file.rmdir()
    with file.open("wb") as stream:
        stream.truncate(100 << 20)
    assert command("list").code == 2
    file.write_bytes(b"\xff")
    assert command("list").code == 2
    assert command("list", "--config", "/nowhere.yaml").code == 4


def test_an_unknown_profile_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    user_file("default: tema\nprofiles:\n  team: {}\n")
    with pytest.raises(NotFound) as caught:
        load_profile()
    assert caught.value.hint == "did you mean team?"
    monkeypatch.setenv("MREG_PROFILE", "x")
    with pytest.raises(NotFound) as caught:
        load_profile()
    assert caught.value.message == "profile 'x' not found (MREG_PROFILE)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "hooks:\n  - command: [rm]\n",
            "hooks is not allowed in a project file, which can come from another user",
        ),
        ("profiles: {}\n", "profiles is not allowed in a project file"),
        ("endpoint_url: https://evil.example\n", "endpoint_url is not allowed in a project file"),
        ("user: root\n", "user is not allowed in a project file"),
        ("aws_profile: x\n", "aws_profile is not allowed in a project file"),
        ("modle: x\n", "unknown key 'modle'"),
        ("catalog: /etc/x\n", "the catalog of a project file must be below"),
        ("artifacts: ../../x\n", "the artifacts of a project file must be below"),
        ("artifacts: ~/.ssh\n", "the artifacts of a project file must be below"),
        ("artifacts: out/../../x\n", "the artifacts of a project file must be below"),
        ("artifacts: link/x\n", "the artifacts of a project file must be below"),
        ("artifacts: .\n", "the artifacts of a project file must be below"),
        ("artifacts: s3://me:secret@x/y\n", "the URL of artifacts contains a password"),
    ],
)
def test_a_project_file_can_not_lead_out_of_its_folder_or_run_anything(text: str, message: str) -> None:
    Path("link").symlink_to("/etc")
    Path("mreg.yaml").write_text(text)
    with pytest.raises(BadProfile) as caught:
        load_profile()
    assert message in caught.value.message
    assert "secret" not in caught.value.message + caught.value.hint


def test_a_project_may_keep_its_own_store(command: Mreg) -> None:
    assert command("init", "--local", "--model", "mine").code == 0
    Path("model.pkl").write_bytes(b"x")
    assert command("push", "model.pkl", "-q").out == "mine@1\n"
    assert Path(".mreg/catalog.db").is_file()
    assert Path(".mreg/artifacts/blobs").is_dir()
    done = command("init")
    assert (done.code, "already exists" in done.err) == (7, True)
    assert command("init", "--model", "../x").code == 2


def test_profiles_are_added_used_and_listed(command: Mreg) -> None:
    user_file("# mine\nprofiles:\n  team: {}  # keep me\n")
    file = add_profile("nas", {"catalog": "here/c.db", "user": "a: #b"})
    text = Path(file).read_text()
    assert "# mine" in text
    assert "# keep me" in text
    profile = load_profile(profile="nas")
    assert (profile.catalog, profile.user) == (str(Path("here/c.db").resolve()), "tester")
    with pytest.raises(AlreadyExists):
        add_profile("nas", {})
    with pytest.raises(BadProfile):
        add_profile("../x", {})
    with pytest.raises(BadProfile):
        add_profile("x", {"catalog": "postgresql://a:secret@x/y"})
    use_profile("nas")
    assert load_profile().name == "nas"
    use_profile("team")
    assert [(one.name, one.active) for one in list_profiles()] == [("local", False), ("nas", False), ("team", True)]
    with pytest.raises(NotFound):
        use_profile("tean")
    assert Path(file).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in Path(file).parent.iterdir()) == ["config.yaml"]


@pytest.mark.parametrize("name", ["null", "true", "123", "1e5"])
def test_a_name_that_yaml_could_take_for_something_else_is_a_name(name: str) -> None:
    user_file("profiles:\n    team:\n        user: x\n")
    add_profile(name, {"user": "y"})
    use_profile(name)
    assert load_profile().name == name


def test_the_first_profile_makes_the_file() -> None:
    add_profile("one", {})
    add_profile("two", {"catalog": "/x/c.db"})
    assert [one.name for one in list_profiles()] == ["local", "two", "one"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(text=st.text("profilesdutac:{}[]- \n\t#&*!'\"${}/~.x1", max_size=60))
def test_any_text_is_a_profile_file_or_a_clear_error(text: str) -> None:
    user_file(text)
    try:
        assert isinstance(load_profile(), Profile)
    except MregError as error:
        assert error.message.isprintable()
    user_file("")
    Path("mreg.yaml").write_text(text)
    try:
        assert isinstance(load_profile(), Profile)
    except MregError as error:
        assert error.message.isprintable()
    Path("mreg.yaml").unlink()


def test_init_in_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(MregError):
        init_project(str(tmp_path / "none"))


PLACES = [
    ("artifacts", "s3://", "has no bucket"), ("artifacts", "s3:///x", "has no bucket"),
    ("artifacts", "s3://b", "has no bucket"), ("artifacts", "s3://bucket/x?y=1", "has an invalid prefix"),
    ("artifacts", "s3://bucket/x#y", "has an invalid prefix"), ("artifacts", "s3://bucket/../x", "has an invalid prefix"),
    ("artifacts", "s3://bucket//x", "has an invalid prefix"), ("artifacts", "s3://u:p@bucket/x", "contains a password"),
    ("artifacts", "S3://bucket/x", "unsupported URL scheme of artifacts: S3://"), ("endpoint_url", "http://", "invalid address"),
    ("endpoint_url", "https://h:99999", "invalid address"), ("endpoint_url", "http://h h", "invalid address"),
    ("endpoint_url", "ftp://x", "unsupported URL scheme of endpoint_url: ftp://"), ("endpoint_url", "http://u:p@h", "contains a password"),
    ("addressing_style", "bogus", "invalid addressing_style 'bogus'"),
    ("artifacts", "gs://bucket?token=u:p", "has no bucket: 'gs://bucket?***'"), ("artifacts", "s3://b/x?sig=u:p", "has no bucket"),
    ("artifacts", "gs://bucket/x#u:p", "has an invalid prefix: 'gs://bucket/x#***'"), ("catalog", "s3://bucket/?u:p/", "has no object name"),
    ("catalog", "gs://b.c/c.db?token=u:p", "has an invalid prefix"), ("catalog", "s3://bucket#u:p", "has no bucket"),
    ("endpoint_url", "https://host/?u:p", "invalid address 'https://host/?***'"), ("endpoint_url", "https://host#u:p", "invalid address"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "words"), PLACES)
def test_a_place_that_could_mean_another_is_refused(
    key: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", "/x/catalog.db")
    monkeypatch.setenv(f"MREG_{key.upper()}", value)
    with pytest.raises(BadProfile) as caught:
        load_profile()
    assert words in caught.value.message
    assert "u:p" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("value", ["s3://bucket/x", "s3://bucket/x/", "s3://bucket", "s3://my.bucket_1/a%2e/ü"])
def test_a_bucket_and_a_prefix_are_a_place(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CATALOG", "/x/catalog.db")
    monkeypatch.setenv("MREG_ARTIFACTS", value)
    assert load_profile().artifacts == value.rstrip("/")
