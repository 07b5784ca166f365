"""URLs of Redis servers: what they mean, and that their passwords are shown nowhere."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.hook import parse_hooks
from mreg.domain.redis_url import parse_redis_url
from mreg.errors import BadInput, BadProfile
from mreg.profile.load import load_profile
from mreg.profile.server_url import split_password
from tests.conftest import Mreg

PASSWORD = "hunter2@/:?#% ü"
ENCODED = "hunter2%40%2F%3A%3F%23%25%20%C3%BC"

ACCEPTED = [
    (f"redis://:{ENCODED}@cache", "redis://cache:6379/0"),
    (f"redis://:{ENCODED}@Cache.Example:1/", "redis://cache.example:1/0"),
    (f"redis://me:{ENCODED}@cache:6380/3", "redis://me:@cache:6380/3"),
    (f"redis://m%40e:{ENCODED}@cache/0/team:a", "redis://m%40e:@cache:6379/0/team:a"),
    (f"redis://:{ENCODED}@cache/0/mreg", "redis://cache:6379/0"),
    (f"redis://:{ENCODED}@cache/007/{{x}}.db", "redis://cache:6379/7/{x}.db"),
    (f"redis://:{ENCODED}@[::1]:1/1", "redis://[::1]:1/1"),
    (f"redis://:{ENCODED}@[::1]", "redis://[::1]:6379/0"),
    (f"rediss://:{ENCODED}@cache?ssl_ca_certs=/a%20b", "rediss://cache:6379/0?ssl_ca_certs=/a%20b"),
    (f"rediss://:{ENCODED}@cache/1?ssl_cert_reqs=none&ssl_keyfile=/k&ssl_certfile=/c", "rediss://cache:6379/1?ssl_certfile=/c&ssl_keyfile=/k&ssl_cert_reqs=none"),
    (f"rediss://:{ENCODED}@cache/1?ssl_cert_reqs=required", "rediss://cache:6379/1"),
]  # fmt: skip


@pytest.mark.parametrize(("given_url", "shown"), ACCEPTED)
def test_a_url_with_a_password_works_from_a_variable(
    given_url: str, shown: str, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    monkeypatch.setenv("MREG_CATALOG", given_url)
    monkeypatch.setenv("MREG_ARTIFACTS", "/x/artifacts")
    profile = load_profile()
    assert (profile.catalog, profile.password.reveal()) == (shown, PASSWORD)
    assert load_profile(catalog=shown).catalog == shown
    assert "hunter2" not in f"{profile!r} {profile}"
    for words in (["profile", "show"], ["profile", "show", "--json"], ["profile", "list"]):
        done = command(*words)
        assert done.code == 0
        assert "hunter2" not in done.out + done.err


REFUSED = [
    ("redis://hunter2@cache", "redis://USER:@HOST"),
    ("redis://:hun@ter2@cache", "%40"),
    ("redis://:hun/ter2@cache", "%40"),
    ("redis://:hun?ter2@cache", "%40"),
    ("redis://:hun#ter2@cache", "%40"),
    ("redis://:hunter2#x", "HOST:PORT"),
    ("redis://cache#hunter2", "HOST:PORT"),
    ("redis://:hunter2%zz@cache", "%25"),
    ("redis://:hunter2%ff@cache", "%25"),
    ("redis://:hunter2%00@cache", "%25"),
    ("redis://:hunter2%0a@cache", "%25"),
    ("redis://:hunter2\n@cache", ""),
    ("redis://", "HOST:PORT"),
    ("redis:///0", "HOST:PORT"),
    ("redis://:6379", "HOST:PORT"),
    ("redis://cache:hunter2", "HOST:PORT"),
    ("redis://cache:0", "HOST:PORT"),
    ("redis://cache:65536", "HOST:PORT"),
    ("redis://cache:٣", "HOST:PORT"),
    ("redis://ca che", "HOST:PORT"),
    ("redis://-x", "HOST:PORT"),
    ("redis://a,b", "HOST:PORT"),
    ("redis://[::1", "HOST:PORT"),
    ("redis://cache/x", "redis://HOST:PORT/0"),
    ("redis://cache/-1", "redis://HOST:PORT/0"),
    ("redis://cache/9999999999", "redis://HOST:PORT/0"),
    ("redis://cache/0/a b", "KEY"),
    ("redis://cache/0/a/b", "KEY"),
    ("redis://cache/0/*", "KEY"),
    (f"redis://cache/0/{'k' * 201}", "KEY"),
    ("redis://cache?db=1", "ssl_ca_certs"),
    ("redis://cache?password=hunter2", "ssl_ca_certs"),
    ("redis://cache?ssl_ca_certs=/x", "rediss://"),
    ("rediss://cache?ssl_ca_certs=x", "ssl_ca_certs=/PATH"),
    ("rediss://cache?ssl_ca_certs=/x&ssl_ca_certs=/x", "ssl_ca_certs"),
    ("rediss://cache?ssl_cert_reqs=CERT_NONE", "required or none"),
    ("valkey://:hunter2@cache", "write redis://"),
    ("valkeys://:hunter2@cache", "write rediss://"),
    ("Redis://:hunter2@cache", "write redis://"),
    ("redis+sentinel://:hunter2@cache", "redis://HOST:PORT/DATABASE"),
    ("redis:hunter2@cache", "redis://HOST:PORT/DATABASE"),
    ("'redis://:hunter2@cache'", "without quotes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "hint"), REFUSED)
def test_any_other_url_is_a_usage_error_with_the_right_form(
    text: str, hint: str, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    monkeypatch.setenv("MREG_CATALOG", text)
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("artifacts"))
    for words in (["list", "--debug"], ["profile", "show", "--json"]):
        done = command(*words)
        assert done.code == 2
        assert hint in done.err
        assert "MREG_CATALOG: " in done.err
        assert not any(part in done.out + done.err for part in ("hunter2", "ter2", "hun"))


@pytest.mark.parametrize(
    ("template", "variables"),
    [
        ("${REDIS_URL}", {"REDIS_URL": "redis://:hunter2@cache/0"}),
        ("redis://:${PASSWORD}@cache:6379/0", {"PASSWORD": "hunter2"}),
        ("redis://:${A}${B}@${HOST}/0", {"A": "hunt", "B": "er2", "HOST": "cache"}),
    ],
)
def test_a_profile_takes_the_password_from_a_variable(
    template: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(template)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    profile = load_profile(profile="p")
    assert (profile.catalog, profile.password.reveal()) == ("redis://cache:6379/0", "hunter2")


@pytest.mark.parametrize(
    "template", ["redis://:hunter2@cache", "redis://me:hunt${NOTHING}er2@cache", "${START}hunter2@c"]
)
def test_a_password_that_is_written_in_a_file_is_refused(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(template)
    for name, value in {"NOTHING": "", "START": "redis://:"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadProfile) as caught:
        load_profile(profile="p")
    assert "line 3: the URL of catalog contains a password" in caught.value.message
    assert caught.value.hint == "take the URL from a variable: ${REDIS_URL}; or set the password in REDISCLI_AUTH"


def write(catalog: str) -> None:
    path = Path(os.environ["HOME"]) / ".config" / "mreg" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"profiles:\n  p:\n    catalog: {catalog}\n    artifacts: /a\n")


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_project_file_cannot_name_a_server(scheme: str) -> None:
    Path("mreg.yaml").write_text(f"catalog: {scheme}://evil.example/0\nartifacts: a\n")
    with pytest.raises(BadProfile, match="cannot name a database server"):
        load_profile()


def test_a_catalog_without_artifacts_is_an_error_with_the_next_step(
    command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", "redis://cache")
    done = command("list")
    assert (done.code, done.err) == (
        2,
        "error: MREG_CATALOG: artifacts is required for this catalog\n"
        "  name the artifact store: export MREG_ARTIFACTS=PLACE\n",
    )


def test_a_server_holds_no_artifacts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_ARTIFACTS", "redis://cache")
    with pytest.raises(BadProfile, match="unsupported URL scheme of artifacts: redis://"):
        load_profile()


@pytest.mark.parametrize(("asked", "received"), [("REDISCLI_AUTH", "hunter2"), ("PGPASSWORD", None)])
def test_a_hook_receives_the_password_only_if_it_asks(asked: str, received: str | None) -> None:
    profile = load_profile(catalog="redis://me:hunter2@cache", artifacts="/x")
    hook = parse_hooks([{"command": ["true"], "stage": "Production", "env": [asked]}], "/x", "/x/config.yaml")[0]
    variables = profile.variables_for(hook)
    assert variables.get(asked) == received
    assert variables["MREG_CATALOG"] == "redis://me:@cache:6379/0"


@given(password=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_any_encoded_password_is_taken_out_and_decoded(password: str) -> None:
    found = split_password(f"redis://me:{quote(password, safe='')}@cache/2/k")
    assert (found.url, found.password) == ("redis://me:@cache:6379/2/k", password)


@given(text=st.text("redis:/@?&=%#41slca_ertfky.+[]{}", max_size=50), tls=st.sampled_from(["redis", "rediss"]))
def test_the_canonical_form_of_a_url_is_read_as_the_same_url_without_a_password(text: str, tls: str) -> None:
    try:
        url, _ = parse_redis_url(f"{tls}://{text}")
    except BadInput:
        return
    again, login = parse_redis_url(str(url))
    assert (again, login.password) == (url, "")
