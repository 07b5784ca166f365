"""Token files without a server: their lines, their bounds, and when they are read again."""

from __future__ import annotations

import builtins
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mreg.domain.digest import Digest
from mreg.errors import BadInput, NotFound, Unavailable
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role, Token
from mreg.server import tokens
from mreg.server.tokens import FILE_BYTES, LINE_HINT, REPEATED_HINT, TOKENS_LIMIT, TokenFile, find_token, parse_tokens

DIGESTS = ["sha256:" + f"{number:064x}" for number in range(3)]
MAKE = "mreg token create NAME --role writer --line -q >> FILE"


def token(name: str, role: Role, number: int) -> Token:
    return Token(name=name, role=role, digest=Digest.parse(DIGESTS[number]))


LINES: dict[str, list[Token]] = {
    "": [],
    " \t# a comment\n\n;;": [],
    f"a reader {DIGESTS[0]}": [token("a", Role.READER, 0)],
    f"\n  a   WRITER\t{DIGESTS[0]}  # of the build": [token("a", Role.WRITER, 0)],
    f"a approver {DIGESTS[0]};b admin {DIGESTS[1]}\r\nc reader {DIGESTS[2]}": [
        token("a", Role.APPROVER, 0),
        token("b", Role.ADMIN, 1),
        token("c", Role.READER, 2),
    ],
    f"# one\n#\na reader {DIGESTS[0]}": [token("a", Role.READER, 0)],
}


@pytest.mark.parametrize("text", LINES)
def test_a_line_is_a_token(text: str) -> None:
    assert parse_tokens(text, "F") == tuple(LINES[text])


BAD_LINES = {
    "a": ("F, line 1: invalid token", LINE_HINT),
    "a reader": ("F, line 1: invalid token", LINE_HINT),
    f"\n#\n;a reader {DIGESTS[0]} x": ("F, line 4: invalid token", LINE_HINT),
    f"a owner {DIGESTS[0]}": ("F, line 1: invalid role", LINE_HINT),
    f"a reader {DIGESTS[0]}\nb {DIGESTS[1]} reader": ("F, line 2: invalid role", LINE_HINT),
    "a reader mreg_secret": ("F, line 1: invalid digest", LINE_HINT),
    f"a reader {DIGESTS[0]};a writer {DIGESTS[1]}": ("F: repeated name", REPEATED_HINT),
    f"a reader {DIGESTS[0]};b writer {DIGESTS[0]}": ("F: repeated digest", REPEATED_HINT),
}


@pytest.mark.parametrize("text", BAD_LINES)
def test_a_line_that_is_not_a_token_is_named_by_its_number(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_tokens(text, "F")
    assert (caught.value.message, caught.value.hint) == BAD_LINES[text]


def test_the_number_of_tokens_and_the_size_of_a_file_are_bounded(tmp_path: Path) -> None:
    lines = [f"t{number} reader sha256:{number:064x}" for number in range(TOKENS_LIMIT + 1)]
    assert TOKENS_LIMIT == 10_000
    assert len(parse_tokens("\n".join(lines[:-1]), "F")) == TOKENS_LIMIT
    with pytest.raises(BadInput) as caught:
        parse_tokens("\n".join(lines), "F")
    assert caught.value.message == "F has too many tokens: the maximum is 10000"
    file = tmp_path / "tokens"
    assert FILE_BYTES == 2 << 20
    file.write_text(lines[0].ljust(FILE_BYTES))
    assert len(TokenFile(str(file), print).current()) == 1
    file.write_text(lines[0].ljust(FILE_BYTES + 1))
    with pytest.raises(BadInput) as caught:
        TokenFile(str(file), print)
    assert caught.value.message == f"the token file '{file}' is too large: the maximum is 2097152 bytes"


BAD_NAMES = ["", " ", "a b", "a\tb", "a#", ";a", "a\x1b"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_the_name_of_a_token_is_one_word(name: str) -> None:
    with pytest.raises(BadInput):
        new_token(name, Role.READER)


def test_a_new_token_has_256_random_bits_and_is_found_by_its_secret_alone() -> None:
    made = [new_token(name, Role.WRITER) for name in ("a", "b", "c")]
    known = [one.token for one in made]
    for one in made:
        assert one.secret.startswith("mreg_")
        assert len(one.secret) == len("mreg_") + 43  # 32 bytes in base64 without padding
        assert find_token(known, one.secret) == one.token
        assert find_token([other for other in known if other != one.token], one.secret) is None
    assert len({one.secret for one in made}) == 3


def test_a_file_that_cannot_be_used_is_an_error_of_its_own_kind(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    with pytest.raises(NotFound) as missing:
        TokenFile(str(file), print)
    assert (missing.value.message, missing.value.hint) == (f"token file '{file}' not found", MAKE)
    for data in (b"", b"# none\n"):
        file.write_bytes(data)
        with pytest.raises(BadInput) as empty:
            TokenFile(str(file), print)
        assert (empty.value.message, empty.value.hint) == (f"the token file '{file}' has no tokens", MAKE)
    file.write_bytes(b"\xff")
    with pytest.raises(Unavailable, match=f"^cannot read the token file '{file}': "):
        TokenFile(str(file), print)


@pytest.mark.skipif(os.name != "posix", reason="file modes and owners")
@pytest.mark.parametrize(
    ("mode", "owner", "warning"),
    [
        (0o600, "self", ""),
        (0o644, "self", ""),
        (0o664, "self", "the group of the token file F can write to it: chmod g-w F"),
        (0o644, "other", "the token file F belongs to user 12345, not to the server or root"),
        (0o664, "other", "the group of the token file F can write to it: chmod g-w F"),
        (0o644, "root", ""),
        (0o602, "self", "cannot trust the token file 'F': every user can write to it"),
        (0o666, "other", "cannot trust the token file 'F': every user can write to it"),
    ],
)
def test_who_else_can_write_to_a_token_file_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, owner: str, warning: str
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"a reader {DIGESTS[0]}")
    file.chmod(mode)
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        uid = {"self": found.st_uid, "other": 12345, "root": 0}[owner]
        return os.stat_result([*found[:4], uid, *found[5:]], {"st_mtime": found.st_mtime, "st_ctime": found.st_ctime})

    monkeypatch.setattr(os, "geteuid", lambda: 4711 if owner != "self" else file.stat().st_uid)
    monkeypatch.setattr(os, "fstat", fstat)
    heard: list[str] = []
    try:
        TokenFile(str(file), heard.append)
    except Unavailable as error:
        heard.append(error.message)
        assert error.hint == f"chmod o-w {file}"
    assert heard == ([warning.replace("F", str(file))] if warning else [])


@pytest.mark.parametrize(("age", "reads"), [(-5.0, 3), (0.0, 3), (2.0, 3), (2.5, 1), (1e6, 1)])
@pytest.mark.parametrize("newer", ["content", "status"])
def test_a_file_is_read_again_until_its_last_change_is_two_seconds_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, reads: int, newer: str
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"a reader {DIGESTS[0]}")
    os.utime(file, (4e9, 4e9) if newer == "content" else (1e6, 1e6))
    last = 4e9 if newer == "content" else file.stat().st_ctime
    seen: list[str] = []
    real = builtins.open

    def spy(path: Any, mode: str) -> Any:
        seen.append(path)
        return real(path, mode)

    monkeypatch.setattr(tokens, "open", spy, raising=False)
    monkeypatch.setattr(time, "time", lambda: last + age)
    read = TokenFile(str(file), print)
    for _ in range(2):
        assert [one.name for one in read.current()] == ["a"]
    assert len(seen) == reads
    file.chmod(0o400)  # a change of the status alone
    assert read.still_has(token("a", Role.READER, 0))
    assert len(seen) == reads + 1


def test_every_change_of_the_file_counts_at_once_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "tokens"
    one, two = f"a writer {DIGESTS[0]}\n", f"b reader {DIGESTS[1]}\n"
    file.write_text(one)
    read = TokenFile(str(file), print)
    caplog.set_level("INFO", "mreg.server")
    for text, names, logged in (
        (one, ["a"], []),
        (one + two, ["a", "b"], [f"read 2 tokens from {file}"]),
        (two, ["b"], [f"read 1 tokens from {file}"]),
        ("wrong", None, [f"all tokens are refused: {file}, line 1: invalid token"]),
        ("wrong ", None, []),
        ("", None, [f"all tokens are refused: the token file '{file}' has no tokens"]),
        (two, ["b"], [f"read 1 tokens from {file}"]),
        (two, ["b"], []),
    ):
        file.write_text(text)
        for _ in range(2):
            if names is None:
                with pytest.raises(BadInput):
                    read.current()
            else:
                assert [found.name for found in read.current()] == names
        assert caplog.messages == logged
        caplog.clear()


def test_a_request_keeps_its_token_while_the_file_has_it_with_that_role_or_is_broken(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"a writer {DIGESTS[0]}\n")
    read = TokenFile(str(file), print)
    for line, kept in (
        ("a reader", {"reader": True, "writer": False, "admin": False}),
        ("a writer", {"reader": True, "writer": True, "admin": False}),
        ("renamed admin", {"reader": True, "writer": True, "admin": True}),
    ):
        for text in (f"{line} {DIGESTS[0]}", "broken"):
            file.write_text(text)
            found = {role: read.still_has(token("a", Role.parse(role), 0)) for role in kept}
            assert found == kept, (line, text)
            assert not read.still_has(token("a", Role.READER, 1))


def test_a_request_keeps_its_token_only_while_the_file_limits_it_no_further(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    limited, whole = (
        Token(name="a", role=Role.READER, digest=Digest.parse(DIGESTS[0]), models=m) for m in (("m",), ())
    )
    for models, kept in (("", (True, True)), ("models=*", (True, True)), ("models=m", (True, False))):
        file.write_text(f"a reader {DIGESTS[0]} {models}\n")
        read = TokenFile(str(file), print)
        assert (read.still_has(limited), read.still_has(whole)) == kept, models
    file.write_text(f"a reader {DIGESTS[0]} models=n\n")
    assert not read.still_has(limited)
    file.write_text(f"b reader {DIGESTS[1]}\n")
    assert not read.still_has(limited)


LIMITED_LINES = {
    "models=team-a/*,x": (("team-a/*", "x"), None),
    "expires=2999-01-31": ((), datetime(2999, 1, 31, tzinfo=UTC)),
    "expires=2999-01-31T02:00+02:00 models=x": (("x",), datetime(2999, 1, 31, tzinfo=UTC)),
    "models=*": ((), None),
}


@pytest.mark.parametrize("words", LIMITED_LINES)
def test_a_line_limits_its_token(words: str) -> None:
    (found,) = parse_tokens(f"a reader {DIGESTS[0]} {words}", "F")
    assert (found.models, found.expires) == LIMITED_LINES[words]


BAD_LIMITS = {
    "models=": "F, line 1: invalid models",
    "models=a,,b": "F, line 1: invalid models",
    "expires=": "F, line 1: invalid expiry",
    "expires=soon": "F, line 1: invalid expiry",
    "expires=3500-01-01": "F, line 1: invalid expiry",
    "models": "F, line 1: invalid token",
    "=x": "F, line 1: invalid token",
    "role=admin": "F, line 1: invalid token",
    "models=a models=b": "F, line 1: invalid token",
    "expires=2999-01-31 expires=2999-01-31": "F, line 1: invalid token",
}


@pytest.mark.parametrize("words", BAD_LIMITS)
def test_a_limit_that_is_not_valid_is_refused_and_not_shown(words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_tokens(f"a reader {DIGESTS[0]} {words}", "F")
    assert (caught.value.message, caught.value.hint) == (BAD_LIMITS[words], LINE_HINT)
