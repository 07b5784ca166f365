"""Tokens of the catalog by the interface and the command line."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import sqlite3
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mreg
from mreg.catalog import tokens as stored_tokens
from mreg.catalog.tokens import TokenWriter
from mreg.domain.password import SECRET
from mreg.domain.scope import ModelScope
from mreg.domain.text import quoted
from mreg.errors import AlreadyExists, BadInput, NotAllowed, NotFound, OutsideScope
from mreg.registry.local import LocalRegistry
from mreg.registry.tokens import covers, digest_of, new_token
from mreg.results.tokens import Role
from mreg.server.tokens import parse_tokens
from tests.conftest import Mreg

NOW = datetime.now(UTC)


def test_a_token_is_created_listed_and_revoked(registry: LocalRegistry) -> None:
    made = registry.create_token("ci", role=Role.WRITER, models=("team-a/*", "x"), expires="90d")
    assert SECRET.fullmatch(made.secret)
    assert made.stored
    assert made.token.digest == digest_of(made.secret)
    assert made.token.expires is not None
    assert timedelta(days=89) < made.token.expires - NOW < timedelta(days=91)
    (info,) = registry.tokens()
    assert (info.name, info.role, info.models, info.expires) == (
        "ci",
        Role.WRITER,
        ("team-a/*", "x"),
        made.token.expires,
    )
    assert (info.created_by, info.last_used_at, info.revoked_at) == ("tester", None, None)
    with pytest.raises(AlreadyExists) as error:
        registry.create_token("ci")
    assert (error.value.message, error.value.hint) == (
        "token 'ci' already exists",
        "choose another name, or revoke it first: mreg token revoke ci",
    )
    assert registry.revoke_token("ci").revoked_at is not None
    assert registry.tokens() == ()
    assert registry.create_token("ci").secret != made.secret
    registry.verify_audit()


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        (timedelta(hours=1), timedelta(hours=1)),
        (datetime(2999, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)),
        (datetime(2999, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), datetime(2999, 1, 1, tzinfo=UTC)),
        ("2999-01-01", datetime(2999, 1, 1, tzinfo=UTC)),
        ("2999-01-01T02:00+02:00", datetime(2999, 1, 1, tzinfo=UTC)),
        ("10000d", timedelta(days=10000)),
        ("90m", timedelta(minutes=90)),
        ("7776000s", timedelta(days=90)),
        (None, None),
    ],
)
def test_an_expiry_is_a_period_or_a_time(
    registry: LocalRegistry, expires: object, expected: datetime | timedelta | None
) -> None:
    if isinstance(expected, timedelta):
        expected = datetime.now(UTC) + expected
    found = registry.create_token("ci", expires=expires).token.expires  # type: ignore[arg-type]
    if expected is None or found is None:
        assert found is expected
    else:
        assert abs(found - expected) < timedelta(hours=1) / 2


BAD = {
    "0d": "in the past", "2001-01-01": "in the past", "999999d": "out of range", "-1d": "invalid expiry '-1d'", "": "invalid expiry ''",
    "d": "invalid expiry 'd'", "1e3d": "invalid expiry", "3w": "invalid expiry", "1_0d": "invalid expiry", "\u0669d": "invalid expiry", "soon": "invalid expiry",
    "90": "invalid expiry '90'", "2999-13-01": "invalid expiry", "3500-01-01": "the year 3500 is out of range", "9999-12-31T23:59-23:00": "invalid expiry",
}  # fmt: skip


def test_a_table_of_tokens_says_never_and_expired(command: Mreg, registry: LocalRegistry) -> None:
    made = command("token", "create", "ci", "--role", "reader", "--format", "table").out
    assert re.search(r"^expires +never *$", made, re.MULTILINE)
    registry.create_token("old", expires=timedelta(seconds=0.2))
    time.sleep(0.3)
    assert re.search(r"UTC \(expired\)", command("token", "list", "--format", "table").out)


@pytest.mark.parametrize("expires", BAD)
def test_an_invalid_expiry_is_refused(registry: LocalRegistry, expires: str) -> None:
    with pytest.raises(BadInput, match=re.escape(BAD[expires])):
        registry.create_token("ci", expires=expires)
    for value in (timedelta(0), timedelta(days=-1), timedelta.max, datetime(2999, 1, 1), NOW):  # noqa: DTZ001
        with pytest.raises(BadInput):
            registry.create_token("ci", expires=value)
    assert registry.tokens() == ()


@pytest.mark.parametrize("models", [["a", "*"], "*", ["**"], (), []])
def test_the_pattern_of_all_models_is_no_limit(registry: LocalRegistry, models: object) -> None:
    assert registry.create_token("ci", models=models).token.models == ()  # type: ignore[arg-type]


NAMES = st.from_regex(r"[a-c][a-c/.?*]{0,5}", fullmatch=True)
PATTERN_SETS = st.lists(NAMES.filter(lambda text: _is_pattern(text)), min_size=1, max_size=3)


def _is_pattern(text: str) -> bool:
    try:
        ModelScope((text,))
    except BadInput:
        return False
    return True


@given(PATTERN_SETS, PATTERN_SETS, st.data())
def test_a_scope_that_is_covered_allows_no_other_model(
    first: list[str], second: list[str], data: st.DataObject
) -> None:
    outer, inner = ModelScope(tuple(first)), ModelScope(tuple(second))
    assert covers(outer, outer)
    if covers(outer, inner):
        pattern = data.draw(st.sampled_from(inner.patterns))
        name = "".join(
            data.draw(st.text("abc/.", max_size=4))
            if sign == "*"
            else data.draw(st.sampled_from("abc/"))
            if sign == "?"
            else sign
            for sign in pattern
        )
        assert outer.allows(name)


def test_the_doctor_names_tokens_that_expire_soon_or_are_not_used(registry: LocalRegistry) -> None:
    def found() -> list[tuple[str, str]]:
        return [(one.state, one.message) for one in registry.examine() if one.name == "tokens"]

    registry.register("m")
    assert found() == []
    registry.create_token("ci", expires="8d")
    assert found() == [("fine", "none expires within 7 days or is unused for 90 days")]
    registry.create_token("soon", expires="6d")
    for name, days in (("idle", 91), ("used", 89), ("gone", 400)):
        token = new_token(name).token
        registry._session.catalog.write(
            lambda writer, token=token: TokenWriter(writer).create(token),  # type: ignore[misc]
            actor="me",
            at=datetime.now(UTC) - timedelta(days=days),
        )
    registry.revoke_token("gone")
    message = "1 token expiring within 7 days: soon; 1 token not used for 90 days: idle"
    assert found() == [("note", message)]


# The command line


def test_the_secret_is_printed_once(command: Mreg, tmp_path: Path) -> None:
    done = command(
        "token",
        "create",
        "ci",
        "--role",
        "writer",
        "--models",
        "team-a/*,x",
        "--models",
        "y",
        "--expires",
        "90d",
        "--json",
    )
    made = json.loads(done.out)
    assert made["models"] == ["team-a/*", "x", "y"]
    assert made["stored"] is True
    assert parse_tokens(made["line"], "x")[0].models == ("team-a/*", "x", "y")
    quiet = command("token", "create", "quiet", "-q")
    assert SECRET.fullmatch(quiet.out.strip())
    assert quiet.err == ""
    drawn = command("token", "create", "table", "--format", "table")
    assert "save the secret now: it is not shown again" in drawn.out
    (listed,) = [one for one in json.loads(command("token", "list", "--json").out) if one["name"] == "ci"]
    assert (listed["created_by"], listed["last_used_at"], listed["expires"]) == ("tester", None, made["expires"])
    assert command("token", "list", "-q").out == "ci\nquiet\ntable\n"
    catalog = Path(mreg.open_registry().profile.catalog)
    assert all(made["secret"].encode() not in path.read_bytes() for path in catalog.parent.rglob("*") if path.is_file())


def test_a_time_without_a_zone_is_local_time(command: Mreg) -> None:
    done = command("token", "create", "ci", "--expires", "2999-01-31", "--json")
    assert json.loads(done.out)["expires"].startswith("2999-01-3")
    assert "2999-01-31 is local time" in done.err


MISTAKES = [
    (["token", "revoke", "gon"], 4, "token 'gon' not found", "mreg token list"),
    (["token", "revoke", "deployy"], 4, "token 'deployy' not found", "did you mean deploy?"),
    (["token", "revoke", "gone"], 4, "token 'gone' was revoked already, at ", "mreg token create gone"),
    (["token", "create", "ci"], 7, "token 'ci' already exists", "mreg token revoke ci"),
    (["token", "create", "a b"], 2, "invalid token name 'a b'", "use a word"),
    *(
        (["token", "create", name], 2, f"invalid token name '{name}': a part between slashes is empty, '.' or '..'",
         "remove that part")
        for name in ("lead/", "/x", "lead//x", "lead/../x", "./x", "..")
    ),
    (["token", "create", "x", "--role", "writr"], 2, "invalid role 'writr'", "did you mean writer?"),
    (["token", "create", "x", "--models", ""], 2, "the model pattern is empty", "'team-a/*'"),
    (["token", "create", "x", "--models", "a,,b"], 2, "the model pattern is empty", "'team-a/*'"),
    (["token", "create", "x", "--models", "a b"], 2, "invalid model pattern 'a b'", "'team-a/*'"),
    (["token", "create", "x", "--expires", "0d"], 2, "invalid expiry '0d': it is in the past", "write 12h, 90d"),
    (["token", "create", "x", "--expires", "soon"], 2, "invalid expiry 'soon'", "write 12h, 90d"),
    (["token", "create", "x", "--expires", ""], 2, "invalid expiry ''", "write 12h, 90d"),
    (["token", "ci", "--role", "writer"], 2, "there is no command 'ci'", "mreg token create ci"),
    (["token", "rm", "ci"], 2, "there is no command 'rm'", "did you mean mreg token revoke?"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "message", "hint"), MISTAKES, ids=lambda one: str(one)[:40])
def test_a_mistake_is_told(
    words: list[str], code: int, message: str, hint: str, command: Mreg, registry: LocalRegistry
) -> None:
    for name in ("ci", "deploy", "gone"):
        registry.create_token(name)
    registry.revoke_token("gone")
    done = command(*words)
    assert done.code == code, done.err
    assert message in done.err
    assert hint in done.err
    assert [token.name for token in registry.tokens()] == ["ci", "deploy"]


def test_a_line_for_a_token_file_has_its_limits() -> None:
    digest = "sha256:" + "0" * 64
    (token,) = parse_tokens(f"ci writer {digest} models=team-a/*,x expires=2027-01-31", "F")
    assert (token.models, token.expires) == (("team-a/*", "x"), datetime(2027, 1, 31, tzinfo=UTC))
    assert token.line == f"ci writer {digest} models=team-a/*,x expires=2027-01-31T00:00:00.000000Z"
    assert parse_tokens(token.line, "F") == (token,)
    assert parse_tokens(f"ci writer {digest} expires=2027-01-31T00:00Z models=*", "F")[0].models == ()
    for words, message in {
        "models=": "invalid models", "models=a,,b": "invalid models", "models=../x": "invalid models", "expires=": "invalid expiry",
        "expires=soon": "invalid expiry", "expires=3500-01-01": "invalid expiry", "models=a models=b": "invalid token", "model=a": "invalid token",
        "secret": "invalid token", "expires=2027-01-01 expires=2027-01-01": "invalid token",
    }.items():  # fmt: skip
        with pytest.raises(BadInput) as error:
            parse_tokens(f"ci writer {digest} {words}", "F")
        assert error.value.message == f"F, line 1: {message}", words


def test_an_unknown_token_of_an_empty_catalog_is_not_found(registry: LocalRegistry) -> None:
    with pytest.raises(NotFound) as error:
        registry.revoke_token("ci")
    assert (error.value.message, error.value.hint) == ("token 'ci' not found", "mreg token list")
    assert registry.tokens() == ()


# Limits of the client that creates, sees and revokes tokens


COVERED = [
    ("a", "a", True),
    ("a", "b", False),
    ("a", "ab", False),
    ("ab", "a", False),
    ("a*", "a", True),
    ("a*", "ab", True),
    ("a*", "a?", True),
    ("a*", "a*", True),
    ("a*", "ab*c", True),
    ("a*", "*", False),
    ("a*", "*a", False),
    ("*a", "b*a", True),
    ("*a", "b*", False),
    ("a*c", "abc*c", True),
    ("a*c", "a*b", False),
    ("a*b*c", "a*c", False),
    ("a*b*c", "axbxc", True),
    ("a*c*", "abc", True),
    ("a?", "ab", True),
    ("a?", "a?", True),
    ("a?", "a*", False),
    ("a?", "a", False),
    ("a?", "abc", False),
    ("ab", "a?", False),
    ("a??", "a?b", True),
    ("a?*", "ab", True),
    ("a?*", "a*", False),
    ("?", "*", False),
]


@pytest.mark.parametrize(("outer", "inner", "covered"), COVERED)
def test_a_pattern_covers_what_it_matches_whatever_the_other_stands_for(outer: str, inner: str, covered: bool) -> None:
    assert covers(ModelScope((outer,)), ModelScope((inner,))) is covered
    assert covers(ModelScope(("zz", outer)), ModelScope((inner, "zz"))) is covered


def test_a_scope_covers_another_with_all_of_its_patterns() -> None:
    everything, two = ModelScope(), ModelScope(("a/*", "b"))
    for scope in (everything, two, ModelScope(("*",))):
        assert covers(everything, scope)
    assert covers(two, two)
    assert covers(two, ModelScope(("b", "a/x")))
    assert not covers(two, everything)
    assert not covers(two, ModelScope(("*",)))
    assert not covers(two, ModelScope(("b", "c")))
    assert not covers(ModelScope(("b",)), two)


def managing(registry: LocalRegistry, models: tuple[str, ...] = (), expires: datetime | None = None) -> LocalRegistry:
    """Return the registry for a client with a token of its own."""
    own = new_token("own", Role.ADMIN, models, expires).token
    return registry.acting_as(own.name, scope=own.scope, client=own)


def test_a_client_creates_tokens_that_permit_no_more_than_its_own(registry: LocalRegistry) -> None:
    limited = managing(registry, ("team-a/*", "x"))
    for models in ((), "*", "team-?/*", ("x", "y")):
        with pytest.raises(OutsideScope) as caught:
            limited.create_token("more", models=models)
        shown = ",".join((models,) if isinstance(models, str) else models) or "*"
        assert caught.value.message == (
            f"cannot create a token for the models '{shown}': your own token is limited to 'team-a/*,x'"
        )
        assert caught.value.hint == "limit it too: mreg token create own/more --role reader --models 'team-a/*,x'"
    assert limited.create_token("own/less", models="team-a/b").token.models == ("team-a/b",)
    assert limited.create_token("own/same", models=("x", "team-a/*")).token.models == ("x", "team-a/*")
    assert [token.name for token in registry.tokens()] == ["own/less", "own/same"]


def test_a_limited_client_names_its_tokens_below_its_own_name(registry: LocalRegistry) -> None:
    """So it acts under the name of nobody else, whether that is a token, an approver, or a user without a token."""
    limited = managing(registry, ("team-a/*",))
    for name in ("ada", "own", "Own/ci", "own\uff0fci", "ow\uff4e/ci", "other/ci"):
        with pytest.raises(OutsideScope) as caught:
            limited.create_token(name, models="team-a/*")
        assert caught.value.message == (
            f"cannot create the token '{name}': your own token is limited to 'team-a/*', so the names of tokens that "
            "you create begin with own/"
        )
        assert caught.value.hint == f"mreg token create {shlex.quote(f'own/{name}')} --role reader --models 'team-a/*'"
    for name in ("own/ci", "own/ci/nightly", "own/own"):
        assert limited.create_token(name, models="team-a/*").token.name == name
    assert managing(registry).create_token("ada").token.name == "ada"  # not limited to models


@pytest.mark.parametrize(
    ("expires", "shown"),
    [
        ("1h", "1h"),
        ("2999-01-01", "2999-01-01"),
        (timedelta(hours=1, microseconds=1), "3601s"),
        (datetime(2999, 1, 1, tzinfo=UTC), "2999-01-01T00:00:00.000000Z"),
    ],
)
@pytest.mark.parametrize("models", [(), ("team-a/*",)])
def test_a_hint_keeps_the_expiry_that_was_given(
    registry: LocalRegistry, models: tuple[str, ...], expires: str | timedelta | datetime, shown: str
) -> None:
    with pytest.raises(OutsideScope) as caught:
        managing(registry, ("team-a/*",)).create_token("ci9", role="writer", models=models, expires=expires)
    assert caught.value.hint.removeprefix("limit it too: ") == (
        f"mreg token create own/ci9 --role writer --models 'team-a/*' --expires {shown}"
    )


def test_the_hint_for_a_revoked_token_keeps_its_expiry(registry: LocalRegistry) -> None:
    until = datetime(2999, 1, 1, tzinfo=UTC)
    registry.create_token("ci", expires=until)
    registry.revoke_token("ci")
    with pytest.raises(NotFound) as caught:
        registry.revoke_token("ci")
    assert caught.value.hint == (
        "create another one with its name: mreg token create ci --role reader --expires 2999-01-01T00:00:00.000000Z"
    )


SPELLINGS = ("CI", "cI", "\uff43\uff49", "c\u2170", "ci\ufe0f", "c\u034fi", "ci\u3164")


@pytest.mark.parametrize("revoked", [False, True])
def test_a_name_of_a_token_has_one_spelling(registry: LocalRegistry, *, revoked: bool) -> None:
    registry.create_token("ci")
    if revoked:
        registry.revoke_token("ci")
    for name in SPELLINGS:
        with pytest.raises(AlreadyExists) as caught:
            registry.create_token(name)
        assert caught.value.message == f"token {quoted(name)} already exists as 'ci'"
        assert caught.value.hint == "choose a name that differs in more than case and Unicode form"
    for name in ("ci2", "c-i", "c\u0456"):  # a letter of another script
        assert registry.create_token(name).stored
    if revoked:
        assert registry.create_token("ci").stored


def test_the_scope_of_a_registry_limits_the_tokens_of_a_registry_without_a_client(registry: LocalRegistry) -> None:
    limited = registry.acting_as("ada", scope=ModelScope(("team-a/*",)))
    with pytest.raises(OutsideScope):
        limited.create_token("more")
    assert limited.create_token("ada/ci", models="team-a/*").stored


def test_a_client_creates_tokens_that_expire_no_later_than_its_own(registry: LocalRegistry) -> None:
    own = datetime(2999, 1, 1, tzinfo=UTC)
    limited = managing(registry, expires=own)
    made = limited.create_token("never", role=Role.WRITER, models="x")
    assert (made.token.expires, made.token.role, made.token.models) == (own, Role.WRITER, ("x",))
    assert limited.create_token("same", expires=own).token.expires == own
    earlier = own - timedelta(days=1)
    assert limited.create_token("less", expires=earlier).token.expires == earlier
    with pytest.raises(NotAllowed) as caught:
        limited.create_token("more", expires=own + timedelta(microseconds=1))
    assert caught.value.message == (
        "cannot create a token that expires after your own, which expires at 2999-01-01T00:00:00.000000Z"
    )
    assert caught.value.hint == "mreg token create more --role reader --expires 2999-01-01T00:00:00.000000Z"
    assert managing(registry).create_token("for-ever").token.expires is None
    stored = {token.name: token.expires for token in registry.tokens()}
    assert stored == {"never": own, "same": own, "less": earlier, "for-ever": None}


def test_a_client_sees_and_revokes_tokens_within_its_own_only(registry: LocalRegistry) -> None:
    for name, models in (("deploy", "team-a/x"), ("outside", "team-b/x"), ("whole", "*")):
        registry.create_token(name, models=models)
    limited = managing(registry, ("team-a/*",))
    assert [token.name for token in limited.tokens()] == ["deploy"]
    messages = {}
    for name in ("outside", "whole", "outsidf", "absent"):
        with pytest.raises(NotFound) as caught:
            limited.revoke_token(name)
        messages[name] = (caught.value.message, caught.value.hint, caught.value.details)
    assert messages == {name: (f"token '{name}' not found", "mreg token list", {"kind": "token"}) for name in messages}
    with pytest.raises(NotFound) as caught:
        limited.revoke_token("deplo")
    assert caught.value.hint == "did you mean deploy?"
    assert limited.revoke_token("deploy").revoked_at is not None
    assert [token.name for token in registry.tokens()] == ["outside", "whole"]
    with pytest.raises(NotFound, match="token 'deploy' was revoked already, at "):
        limited.revoke_token("deploy")
    registry.revoke_token("outside")
    with pytest.raises(NotFound, match="token 'outside' not found"):  # nor that it is revoked
        limited.revoke_token("outside")
    with pytest.raises(NotFound, match="token 'outside' was revoked already, at "):
        registry.revoke_token("outside")


def test_a_revocation_names_the_tokens_that_the_client_created(registry: LocalRegistry) -> None:
    told: list[str] = []
    registry = registry.acting_as("olga", told.append)
    lead = registry.create_token("lead", role="admin", models="a/*").token
    lead_client = registry.acting_as("lead", scope=lead.scope, client=lead)
    child = lead_client.create_token("lead/b", role="admin", models="a/*").token
    registry.acting_as("lead/b", scope=child.scope, client=child).create_token("lead/b/c", models="a/x")
    lead_client.create_token("lead/old", models="a/*", expires=timedelta(microseconds=1))
    assert {token.name: token.expired for token in registry.tokens()} == {
        "lead": False, "lead/b": False, "lead/b/c": False, "lead/old": True
    }  # fmt: skip
    registry.revoke_token("lead")
    command = "to revoke them: mreg token revoke lead --with-created"
    assert told == [f"2 tokens that lead created can still be used: lead/b, lead/b/c; {command}"]
    assert registry.revoke_token("lead", with_created=True).name == "lead"
    assert told[1:] == ["revoked 2 tokens that lead created: lead/b, lead/b/c"]
    assert [token.name for token in registry.tokens()] == ["lead/old"]
    with pytest.raises(NotFound, match="token 'lead' was revoked already"):
        registry.revoke_token("lead", with_created=True)
    registry.verify_audit()


def test_revoking_created_tokens_leaves_the_token_that_the_client_uses(registry: LocalRegistry) -> None:
    registry.create_token("lead")
    deputy = registry.acting_as("lead").create_token("deputy", role="admin").token
    registry.acting_as("lead").create_token("other")
    registry.acting_as("deputy", client=deputy).revoke_token("lead", with_created=True)
    assert [token.name for token in registry.tokens()] == ["deputy"]


@pytest.mark.parametrize("with_created", [False, True])
def test_a_limited_client_does_not_revoke_the_tokens_that_its_own_was_created_with(
    registry: LocalRegistry, with_created: bool
) -> None:
    client, models = registry, ("a/*", "b/*")
    for name in ("lead", "lead/b", "lead/b/c"):
        made = client.create_token(name, role="admin", models=models).token
        client = registry.acting_as(name, scope=made.scope, client=made)
    for above in ("lead", "lead/b"):
        with pytest.raises(NotAllowed) as caught:
            client.revoke_token(above, with_created=with_created)
        message = f"cannot revoke the token '{above}': your own token 'lead/b/c' was created with it"
        assert (caught.value.message, caught.value.hint) == (message, "ask an administrator for all models")
    assert [token.name for token in registry.tokens()] == ["lead", "lead/b", "lead/b/c"]
    assert client.revoke_token("lead/b/c", with_created=with_created).revoked_at is not None


def test_a_revoked_client_manages_no_tokens(registry: LocalRegistry) -> None:
    """A request that was admitted before, and waited for the transaction that revoked its token."""
    lead = registry.create_token("lead", role="admin", models="a/*").token
    client = registry.acting_as("lead", scope=lead.scope, client=lead)
    client.create_token("lead/a", models="a/*")
    registry.revoke_token("lead")
    registry.create_token("lead", role="admin", models="a/*")
    for change in (lambda: client.create_token("lead/b", models="a/*"), lambda: client.revoke_token("lead/a")):
        with pytest.raises(NotAllowed, match="the token 'lead' was revoked"):
            change()
    assert {token.name for token in registry.tokens()} == {"lead", "lead/a"}


def test_a_limited_client_revokes_created_tokens_within_its_own_only(registry: LocalRegistry) -> None:
    for name, models in (("own/a", "team-a/x"), ("own/b", "team-b/x"), ("x", "team-a/x")):
        registry.acting_as("own").create_token(name, models=models)
    told: list[str] = []
    own = new_token("own", Role.ADMIN, ("team-a/*",)).token
    registry.acting_as("own", told.append, scope=own.scope, client=own).revoke_token("x", with_created=True)
    registry.create_token("own", models="team-a/*")
    registry.acting_as("own", told.append, scope=own.scope, client=own).revoke_token("own", with_created=True)
    assert told == ["revoked 1 token that own created: own/a"]
    assert [token.name for token in registry.tokens()] == ["own/b"]


def test_tokens_that_a_client_creates_below_its_name_count_with_it(registry: LocalRegistry) -> None:
    """Otherwise a limited client had the temporary space and the unfinished uploads of many clients."""
    made = {"lead": registry.create_token("lead"), "lead/x": registry.create_token("lead/x")}
    for creator, name in (("lead", "lead/b"), ("lead/b", "lead/b/c"), ("gone", "gone/b"), ("lead", "other")):
        made[name] = registry.acting_as(creator).create_token(name)
    registry.revoke_token("lead")
    found, _ = registry.find_tokens([one.token.digest for one in made.values()])
    counted = {token.name: token.counts_as for token, _ in found.values()}
    assert counted == {
        "lead": "lead", "lead/x": "lead/x", "lead/b": "lead", "lead/b/c": "lead", "gone/b": "gone", "other": "other"
    }  # fmt: skip
    (lead, nested) = (found[made[name].token.digest][0] for name in ("lead", "lead/b/c"))
    assert registry.acting_as("a", client=lead).counts_as == registry.acting_as("b", client=nested).counts_as
    assert registry.acting_as("a", client=lead).caller != registry.acting_as("b", client=nested).caller


def test_a_limited_client_creates_a_limited_number_of_tokens(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mreg.registry.tokens.LIMITED_CLIENT_TOKENS", 2)
    limited = managing(registry, ("a/*",))
    for name in ("own/a", "own/a/b"):
        limited.create_token(name, models="a/*")
    with pytest.raises(BadInput, match=r"^too many tokens below own/: the limit is 2$"):
        limited.create_token("own/c", models="a/*")
    registry.create_token("other")


# Lookups of a server


def test_a_catalog_that_has_or_had_a_token_says_so(registry: LocalRegistry) -> None:
    unknown = digest_of("mreg_unknown")
    assert registry.find_tokens([]) == ({}, False)
    assert registry.find_tokens([unknown]) == ({}, False)
    assert not registry.has_active_token()
    made = registry.create_token("ci", expires=timedelta(hours=1))
    found, any_token = registry.find_tokens([unknown, made.token.digest])
    assert any_token
    assert list(found) == [made.token.digest]
    assert found[made.token.digest] == (made.token, registry.tokens()[0])
    assert registry.find_tokens([unknown]) == ({}, True)
    assert registry.has_active_token()
    registry.revoke_token("ci")
    assert not registry.has_active_token()
    assert registry.find_tokens([unknown]) == ({}, True)  # a server that had tokens stays closed
    found, any_token = registry.find_tokens([made.token.digest])
    assert any_token
    assert found[made.token.digest][1].revoked_at is not None


def test_the_number_of_tokens_that_are_not_revoked_is_limited(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stored_tokens.TOKENS_LIMIT == 10_000
    monkeypatch.setattr(stored_tokens, "TOKENS_LIMIT", 2)
    registry.create_token("a")
    registry.create_token("b")
    with pytest.raises(BadInput) as caught:
        registry.create_token("c")
    assert (caught.value.message, caught.value.hint) == (
        "too many tokens: the limit is 2",
        "revoke unused ones: mreg token list",
    )
    registry.revoke_token("a")
    registry.create_token("c")
    assert [token.name for token in registry.tokens()] == ["b", "c"]


def test_an_expired_token_gives_up_its_name_and_its_place(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_tokens, "TOKENS_LIMIT", 1)
    old = new_token("ci", expires=NOW + timedelta(seconds=1), now=NOW).token
    at = NOW - timedelta(days=1)
    registry._session.catalog.write(lambda writer: TokenWriter(writer).create(old), actor="me", at=at)
    new = new_token("ci").token
    write = registry._session.catalog.write
    with pytest.raises(AlreadyExists):
        write(lambda writer: TokenWriter(writer).create(new), actor="me", at=NOW)
    assert old.expires is not None
    write(lambda writer: TokenWriter(writer).create(new), actor="me", at=old.expires)  # refused from this time on
    found, _ = registry.find_tokens([old.digest, new.digest])
    assert [info.revoked_at for _, info in found.values()] == [old.expires, None]


def test_a_new_token_has_defaults_and_a_time_of_its_own() -> None:
    token = new_token("ci").token
    assert (token.role, token.models, token.expires) == (Role.READER, (), None)
    at = datetime(2999, 1, 1, tzinfo=UTC)
    assert new_token("ci", expires="1h", now=at).token.expires == at + timedelta(hours=1)
    assert new_token("ci", expires="1m", now=at).token.expires == at + timedelta(minutes=1)
    assert new_token("ci", expires=at + timedelta(microseconds=1), now=at).token.expires is not None
    for late in (at, "0h", timedelta(0)):
        with pytest.raises(BadInput, match="it is in the past") as caught:
            new_token("ci", expires=late, now=at)
        assert caught.value.hint == "write 12h, 90d, or a date or time, such as 2027-01-31 or 2027-01-31T12:00Z"


DAMAGED = [
    ("role", "READER"),
    ("role", "owner"),
    ("models", ""),
    ("models", "a,,b"),
    ("models", "a,a"),
    ("models", "a,*"),
    ("name", "a b"),
    ("created_by", "a\nb"),
    ("created_at", "never"),
    ("expires_at", "never"),
    ("last_used_at", "never"),
    ("revoked_at", "never"),
]


@pytest.mark.parametrize(("column", "value"), DAMAGED)
def test_a_token_of_a_damaged_row_is_an_error(registry: LocalRegistry, column: str, value: str) -> None:
    made = registry.create_token("ci", models=("a", "b"), expires="9d")
    with contextlib.closing(sqlite3.connect(registry.profile.catalog, isolation_level=None)) as raw:
        raw.execute(f"UPDATE tokens SET {column} = ?", (value,))
    with pytest.raises(mreg.Corrupt):
        registry.find_tokens([made.token.digest])


@pytest.mark.parametrize("name", ["ci$(touch${IFS}x)", "ci'", "ci&x", "~ci", "ci" + "x" * 90])
def test_a_hint_with_the_name_of_a_token_is_one_word_of_the_shell(registry: LocalRegistry, name: str) -> None:
    """An administrator limited to some models can choose names that others paste."""
    patterns = tuple(f"team-{number}/*" for number in range(20))  # longer than a message shows
    limited = managing(registry, patterns)
    created = ["mreg", "token", "create", f"own/{name}", "--role", "writer", "--models", ",".join(patterns)]
    for models in (patterns, ()):
        with pytest.raises(OutsideScope) as caught:
            limited.create_token(name, role="writer", models=models)
        assert shlex.split(caught.value.hint.removeprefix("limit it too: ")) == created
    limited.create_token(f"own/{name}", role="writer", models=patterns)
    with pytest.raises(AlreadyExists) as there:
        registry.create_token(f"own/{name}")
    assert shlex.split(there.value.hint)[-4:] == ["mreg", "token", "revoke", f"own/{name}"]
    registry.revoke_token(f"own/{name}")
    with pytest.raises(NotFound) as gone:
        registry.revoke_token(f"own/{name}")
    assert shlex.split(gone.value.hint.removeprefix("create another one with its name: ")) == created
