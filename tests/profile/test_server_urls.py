"""Database URLs as platforms hand them out, and texts that are neither a path nor a URL."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.hook import parse_hooks
from mreg.domain.password import Password
from mreg.errors import BadProfile
from mreg.profile.edit import add_profile
from mreg.profile.load import load_profile
from mreg.profile.server_url import split_password
from mreg.wire import encode
from tests.conftest import Mreg

PASSWORD = "hunter2@/:?#% ü"
ENCODED = "hunter2%40%2F%3A%3F%23%25%20%C3%BC"

ACCEPTED = [
    (f"postgres://me:{ENCODED}@db.example/x", "postgresql://me@db.example/x"),
    (f"postgresql://me:{ENCODED}@db.example:5433/x?sslmode=require", "postgresql://me@db.example:5433/x?sslmode=require"),
    (f"postgresql+psycopg://me:{ENCODED}@db/x", "postgresql://me@db/x"),
    (f"postgresql+psycopg2://me:{ENCODED}@db/x", "postgresql://me@db/x"),
    (f"postgresql+asyncpg://me:{ENCODED}@db/x", "postgresql://me@db/x"),
    (f"postgres://me@db/x?password={ENCODED}", "postgresql://me@db/x"),
    (f"postgres://db/x?user=me&password={ENCODED}&sslmode=require", "postgresql://db/x?user=me&sslmode=require"),
    (f"postgres://db/x?p%61ssword={ENCODED}", "postgresql://db/x"),
    (f"postgres://me:{ENCODED}@[::1]:5432/x", "postgresql://me@[::1]:5432/x"),
    (f"postgres://me:{ENCODED}@h1:1,h2:2/x?target_session_attrs=any", "postgresql://me@h1:1,h2:2/x?target_session_attrs=any"),
    (f"postgres://:{ENCODED}@db/x", "postgresql://db/x"),
    (f"postgres://me:{ENCODED}@/x?host=/run/postgresql", "postgresql://me@/x?host=/run/postgresql"),
    (f"postgres://me%40tenant:{ENCODED}@db", "postgresql://me%40tenant@db"),
]  # fmt: skip


@pytest.mark.parametrize(("given_url", "shown"), ACCEPTED)
def test_a_url_with_a_password_works_from_a_variable(
    given_url: str, shown: str, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    monkeypatch.setenv("MREG_CATALOG", given_url)
    monkeypatch.setenv("MREG_ARTIFACTS", "/x/artifacts")
    profile = load_profile()
    assert (profile.catalog, profile.password.reveal()) == (shown, PASSWORD)
    assert "hunter2" not in f"{profile!r} {profile} {profile.password!r} {profile.password}"
    for words in (["profile", "show"], ["profile", "show", "--json"], ["profile", "list"]):
        done = command(*words)
        assert done.code == 0
        assert "hunter2" not in done.out + done.err


def write(text: str) -> Path:
    path = Path(os.environ["HOME"]) / ".config" / "mreg" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("template", "variables"),
    [
        ("${DATABASE_URL}", {"DATABASE_URL": "postgres://me:hunter2@db/x"}),
        ("postgres://me:${PASSWORD}@db/x", {"PASSWORD": "hunter2"}),
        ("postgres://me@db/x?password=${PASSWORD}", {"PASSWORD": "hunter2"}),
        ("postgres://me:${A}${B}@${HOST}/x", {"A": "hunt", "B": "er2", "HOST": "db"}),
    ],
)
def test_a_profile_takes_the_password_from_a_variable(
    template: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(f"profiles:\n  p:\n    catalog: {template}\n    artifacts: /a\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    profile = load_profile(profile="p")
    assert (profile.catalog, profile.password.reveal()) == ("postgresql://me@db/x", "hunter2")


@pytest.mark.parametrize(
    "template",
    [
        "postgres://me:hunter2@db/x", "postgresql+psycopg://me:hunter2@db/x", "postgres://db/x?password=hunter2",
        "postgres://me:hunter2${NOTHING}@db/x", "postgres://me:${NOTHING}hunter2@db/x", "${START}hunter2@db/x",
        "postgres${NOTHING}://me:hunter2@db/x", "postgres://db/x?pass${NOTHING}word=hunter2",
        "postgres://db/x?sslpassword=hunter2",
    ],
)  # fmt: skip
def test_a_password_that_is_written_in_a_file_is_refused(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(f"profiles:\n  p:\n    catalog: {template}\n    artifacts: /a\n")
    for name, value in {"NOTHING": "", "START": "postgres://me:"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadProfile) as caught:
        load_profile(profile="p")
    assert "line 3: the URL of catalog contains a password" in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint
    assert "${DATABASE_URL}" in caught.value.hint


def test_the_password_of_a_key_is_refused_from_a_variable_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CATALOG", "postgres://db/x?sslpassword=hunter2")
    with pytest.raises(BadProfile) as caught:
        load_profile(artifacts="/x")
    assert (caught.value.message, caught.value.hint) == (
        "MREG_CATALOG: the URL of catalog contains a password",
        "write the password of the key in a service file",
    )


def test_adding_a_profile_with_a_password_is_refused_with_the_form_that_works(command: Mreg) -> None:
    done = command("profile", "add", "p", "--catalog", "postgres://me:hunter2@db/x", "--artifacts", "s3://bucket/x")
    assert done.code == 2
    assert "hunter2" not in done.err
    assert "${DATABASE_URL}" in done.err
    with pytest.raises(BadProfile):
        add_profile("p", {"catalog": "postgres://me:hunter2@db/x"})


def test_a_profile_can_name_the_variable(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://me:hunter2@db/x")
    done = command("profile", "add", "p", "--catalog", "${DATABASE_URL}", "--artifacts", "s3://bucket/x", "--json")
    assert done.code == 0
    assert "hunter2" not in done.out + done.err
    assert '"postgresql://me@db/x"' in done.out
    assert load_profile(profile="p").password.reveal() == "hunter2"


REFUSED = [
    ("host=db user=me password=hunter2 dbname=x", "postgresql://USER@HOST/DATABASE"),
    (" dbname = x", "postgresql://USER@HOST/DATABASE"),
    ("user=me password=hunter2://x", "postgresql://USER@HOST/DATABASE"),
    ("service=x", "postgresql://USER@HOST/DATABASE"),
    ("Server=db;Database=x;Password=hunter2", "postgresql://USER@HOST/DATABASE"),
    ("jdbc:postgresql://db/x?user=me&password=hunter2", "postgresql://USER@HOST/DATABASE"),
    ("mysql://me:hunter2@db/x", "postgresql://USER@HOST/DATABASE"),
    ("mysql://db/x", "postgresql://USER@HOST/DATABASE"),
    ("sqlite:///x.db", "write the path: x.db"),
    ("sqlite:////srv/x.db", "write the path: /srv/x.db"),
    ("sqlite+aiosqlite:///x.db", "write the path: x.db"),
    ("sqlite://", "or a path"),
    ("sqlite:x.db", "write ./sqlite:x.db"),
    ("file:///srv/x.db", "write the path: /srv/x.db"),
    ("file:x.db", "write ./file:x.db"),
    ("http://db/x", "or a path"),
    ("oss://bucket/x.db", "or a path"),
    ("s3:/bucket/catalog.db", "s3://BUCKET/PREFIX/catalog.db"),
    ("postgres:/db/x", "postgresql://USER@HOST/DATABASE"),
    ("postgresql:me:hunter2@db", "postgresql://USER@HOST/DATABASE"),
    ("S3://bucket/catalog.db", "write s3://"),
    ("'postgres://me:hunter2@db/x'", "without quotes"),
    ('"postgres://me:hunter2@db/x"', "without quotes"),
    ("psql://db/x", "write postgresql://"),
    ("postgres+://db/x", "postgresql://USER@HOST/DATABASE"),
    ("postgres://me:hun@ter2@db/x", "%40"),
    ("postgres://me:hun/ter2@db/x", "%2F"),
    ("postgres://me:123/hunter2@db/x", "%2F"),
    ("postgres://me:hunter2%zz@db/x", "%25"),
    ("postgres://me:hunter2%ff@db/x", "%25"),
    ("postgres://me:hunter2%00@db/x", "%25"),
    ("postgres://db/x?password=hunter2%", "%25"),
    ("postgres://me:hunter2\n@db/x", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "hint"), REFUSED)
def test_any_other_text_for_a_catalog_is_a_usage_error_with_the_right_form(
    text: str, hint: str, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    Path("model.pkl").write_bytes(b"x")
    before = sorted(os.listdir())
    monkeypatch.setenv("MREG_CATALOG", text)
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("artifacts"))
    for words in (["push", "model.pkl"], ["list", "--debug"], ["profile", "show", "--json"]):
        done = command(*words)
        assert done.code == 2
        assert hint in done.err
        assert "MREG_CATALOG: " in done.err
        assert not any(part in done.out + done.err for part in ("hunter2", "ter2", "hun"))
    assert sorted(os.listdir()) == before


@pytest.mark.skipif(os.name != "posix", reason="a path of Windows")
@pytest.mark.parametrize("text", ["C:\\models\\catalog.db", "c:/models/catalog.db", "D:catalog.db", "\\\\nas\\x.db"])
@pytest.mark.parametrize("key", ["catalog", "artifacts"])
def test_a_path_of_windows_is_refused_on_other_systems(key: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MREG_{key.upper()}", text)
    with pytest.raises(BadProfile, match=f"MREG_{key.upper()}: {key} is a path of Windows"):
        load_profile()


@pytest.mark.parametrize(
    "text", ["oss://bucket/x", "s3:bucket/x", "file:///srv/x", "http://x/y", "postgres://db/x", "az:x"]
)
def test_any_other_text_for_artifacts_is_a_usage_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_ARTIFACTS", text)
    with pytest.raises(BadProfile):
        load_profile()


@pytest.mark.parametrize("text", ["./a:b/catalog.db", "date=1/catalog.db", "/x/host=1/c.db", "./host=1", "a b/ü.db"])
def test_a_path_with_such_characters_is_a_path(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CATALOG", text)
    assert load_profile().catalog == os.path.abspath(text)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+asyncpg"])
def test_a_project_file_cannot_name_a_server_in_any_spelling(scheme: str) -> None:
    Path("mreg.yaml").write_text(f"catalog: {scheme}://evil.example/x\nartifacts: a\n")
    with pytest.raises(BadProfile, match="cannot name a database server"):
        load_profile()


@given(password=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_encoded_password_is_taken_out_and_decoded(password: str) -> None:
    from urllib.parse import quote

    for url in (
        f"postgres://me:{quote(password, safe='')}@db/x",
        f"postgres://me@db/x?password={quote(password, safe='')}",
    ):
        found = split_password(url)
        assert (found.url, found.password) == ("postgresql://me@db/x", password)


@given(text=st.text("postgresql:/@?&=%#41pasword+ [],", max_size=50))
def test_libpq_finds_no_password_in_what_is_left(text: str) -> None:
    conninfo = pytest.importorskip("psycopg.conninfo")
    psycopg = pytest.importorskip("psycopg")
    try:
        found = split_password(f"postgresql://{text}")
    except BadProfile:
        return
    try:
        parts = conninfo.conninfo_to_dict(found.url)
    except psycopg.Error:
        return
    assert "password" not in parts


def test_a_password_is_in_no_copy_that_leaves_the_process() -> None:
    secret = Password("hunter2")
    assert copy.deepcopy(secret).reveal() == copy.copy(secret).reveal() == "hunter2"
    assert pickle.loads(pickle.dumps(secret)) == Password()
    profile = load_profile(catalog="postgres://me:hunter2@db/x", artifacts="/x")
    assert b"hunter2" not in pickle.dumps(dataclasses.replace(profile, hooks=(), origins={}))
    assert "hunter2" not in f"{dataclasses.asdict(dataclasses.replace(profile, origins={}))} {encode(profile)}"


@pytest.mark.parametrize(("asked", "received"), [(("PGPASSWORD",), "hunter2"), (("OTHER",), None), ((), None)])
def test_a_hook_receives_the_password_only_if_it_asks(asked: tuple[str, ...], received: str | None) -> None:
    profile = load_profile(catalog="postgres://me:hunter2@db/x", artifacts="/x")
    hook = parse_hooks(
        [{"command": ["true"], "stage": "Production", **({"env": list(asked)} if asked else {})}],
        "/x",
        "/x/config.yaml",
    )[0]
    variables = profile.variables_for(hook)
    assert variables.get("PGPASSWORD") == received
    assert variables["MREG_CATALOG"] == "postgresql://me@db/x"


@pytest.mark.parametrize("text", ["host=db user=me password=hunter2 dbname=x", "Server=db;Database=x;Password=hunter2"])
def test_a_connection_string_is_not_an_artifact_store(
    text: str, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_ARTIFACTS", text)
    done = command("list")
    assert (done.code, done.err) == (
        2,
        "error: MREG_ARTIFACTS: invalid artifacts: expected a path or a URL, got a connection string of keywords\n"
        "  write s3://BUCKET/PREFIX, or ./ before a path\n",
    )
