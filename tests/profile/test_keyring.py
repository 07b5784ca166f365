"""A token in the system's keyring: with the real package and backends of the tests."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mreg.domain.address import Address
from mreg.domain.password import Password
from mreg.errors import Unavailable
from mreg.profile import keyring as own
from mreg.profile.credentials import drop_token, keep_token, saved_token
from mreg.profile.logins import find_login, logins_file
from tests.conftest import Mreg
from tests.serving import serving

keyring: Any = pytest.importorskip("keyring")
ADDRESS = Address.parse("https://models.example/mreg")
TOKEN = Password("mreg_hunter2")


def backend(priority: float = 5, **methods: Any) -> Any:
    """A backend that keeps passwords in memory, with some methods replaced."""
    kept: dict[tuple[str, str], str] = {}
    from keyring.backend import KeyringBackend

    usual = {
        "priority": priority,
        "get_password": lambda self, service, user: kept.get((service, user)),
        "set_password": lambda self, service, user, password: kept.__setitem__((service, user), password),
        "delete_password": lambda self, service, user: kept.__delitem__((service, user)),
    }
    return type("Memory", (KeyringBackend,), {**usual, **methods})()


@pytest.fixture(autouse=True)
def _usual_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


def test_a_token_is_kept_in_the_keyring_and_not_in_the_file() -> None:
    keyring.set_keyring(backend())
    assert keep_token(ADDRESS, "ada", TOKEN) == ("keyring", "")
    assert "hunter2" not in Path(logins_file(os.environ)).read_text()
    assert keyring.get_password("mreg", "https://models.example") == "mreg_hunter2"
    assert saved_token("https://models.example") == TOKEN
    login = find_login("https://models.example", os.environ)
    assert login is not None
    assert drop_token(login) == ""
    assert keyring.get_password("mreg", "https://models.example") is None
    assert saved_token("https://models.example") == Password()


def test_a_real_backend_that_the_user_has_chosen_keeps_the_token(
    tmp_path: Path, people: Path, monkeypatch: pytest.MonkeyPatch, interpreter: Mreg
) -> None:
    """The file backend of keyrings.alt, chosen by a variable, over processes of their own."""
    pytest.importorskip("keyrings.alt.file")
    with serving(tmp_path, {"MREG_CATALOG": str(tmp_path / "catalog.db")}) as served:
        secret = served.secrets["ada"]
        monkeypatch.setenv("MREG_SERVER", served.url)
        done = interpreter("login", served.url, input=secret.encode())
        assert (done.code, "this system does not have an encrypted keyring" in done.err) == (0, True), done
        assert interpreter("logout").code == 0
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
        done = interpreter("login", served.url, input=secret.encode())
        assert (done.code, done.err) == (0, "")
        assert json.loads(interpreter("whoami", "--json").out)["source"] == "keyring"
        assert secret not in Path(logins_file(os.environ)).read_text()
        kept = next(Path(os.environ["HOME"]).rglob("keyring_pass.cfg"))
        assert f"[{own.SERVICE}]" in kept.read_text()
        assert interpreter("logout").code == 0
        assert f"[{own.SERVICE}]\n\n" in kept.read_text() + "\n\n" or own.SERVICE not in kept.read_text()
        done = interpreter("whoami")
        assert (done.code, "missing token" in done.err) == (8, True)


def failing(*_words: object) -> None:
    raise OSError("no bus")


BROKEN = [
    ({"priority": 0.5}, "cannot use the keyring: this system does not have an encrypted keyring"),
    ({"set_password": failing}, "cannot use the keyring: OSError: no bus"),
    ({"get_password": lambda *_words: None}, "the keyring did not store the token"),
]


@pytest.mark.parametrize(("methods", "reason"), BROKEN, ids=[reason for _, reason in BROKEN])
def test_without_a_keyring_that_works_the_token_is_in_the_file(methods: dict[str, Any], reason: str) -> None:
    keyring.set_keyring(backend(**methods))
    assert keep_token(ADDRESS, "ada", TOKEN) == (logins_file(os.environ), reason)
    assert saved_token(ADDRESS.origin) == TOKEN


def test_a_keyring_that_never_answers_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "SECONDS", 0.1)
    ended = threading.Event()
    keyring.set_keyring(backend(get_password=lambda *_words: ended.wait(20) and None))
    try:
        with pytest.raises(Unavailable, match=r"no response in 0\.1 s"):
            own.read_from_keyring(ADDRESS.origin)
    finally:
        ended.set()


def test_tab_completion_does_not_ask_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.set_keyring(backend())
    keep_token(ADDRESS, "ada", TOKEN)
    keyring.set_keyring(backend())
    with pytest.raises(Unavailable, match="is no longer in the keyring"):
        saved_token(ADDRESS.origin)
    monkeypatch.setenv("_MREG_COMPLETE", "bash")
    assert saved_token(ADDRESS.origin) == Password()
