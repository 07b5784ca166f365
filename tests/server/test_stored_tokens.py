"""Tokens of the catalog, which a running server accepts and refuses at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import mreg
from mreg.catalog.tokens import TokenWriter
from mreg.registry.local import LocalRegistry
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role, Token
from mreg.server import access
from mreg.server.settings import ServerSettings
from tests.places import NewCatalog, new_catalog  # noqa: F401  a fixture
from tests.server.conftest import Served

InProcess = Callable[..., Served]


@pytest.fixture
def other(registry: LocalRegistry) -> Iterator[LocalRegistry]:
    """The registry as another process has it open."""
    opened = mreg.open_registry(user="root")
    assert isinstance(opened, LocalRegistry)
    with opened:
        yield opened


def status(server: Served, secret: str, path: str = "/models") -> int:
    return server.get(path, headers={"Authorization": f"Bearer {secret}"}).status_code


def detail(server: Served, secret: str) -> tuple[int, str, str | None]:
    found = server.get("/models", headers={"Authorization": f"Bearer {secret}"} if secret else {})
    return found.status_code, str(found.json()["detail"]), found.headers.get("www-authenticate")


def test_a_token_is_accepted_and_refused_from_the_next_request_on(in_process: InProcess, other: LocalRegistry) -> None:
    admin = other.create_token("admin", role="admin").secret
    server = in_process()
    assert status(server, admin) == 200
    for number in range(10):
        made = other.create_token("ci", role="writer")
        headers = {"Authorization": f"Bearer {made.secret}"}
        assert server.post("/models", {"name": f"m{number}"}, headers=headers).status_code == 200
        other.revoke_token("ci")
        assert detail(server, made.secret) == (401, "the token 'ci' was revoked", "Bearer")
    assert detail(server, admin[:-1] + ("a" if admin[-1] != "a" else "b")) == (401, "unknown token", "Bearer")
    assert detail(server, "mreg_short") == (401, "unknown token", "Bearer")
    assert detail(server, "") == (401, "missing token", "Bearer")
    events = [(event.action, event.actor, event.details.get("token")) for event in other.history()]
    assert events[0] == ("token.revoked", "root", "ci")
    assert events[2] == ("token.created", "root", "ci")
    assert [event.actor for event in other.history() if event.action == "model.registered"] == ["ci"] * 10


def test_two_servers_of_a_catalog_know_the_same_tokens(in_process: InProcess, other: LocalRegistry) -> None:
    admin = other.create_token("admin", role="admin").secret
    first, second = in_process(), in_process()
    headers = {"Authorization": f"Bearer {admin}"}
    made = first.post("/tokens", {"name": "ci"}, headers=headers).json()
    assert status(second, made["secret"]) == 200
    assert second.ask("DELETE", "/tokens/ci", headers=headers).json()["revoked_at"]
    assert status(first, made["secret"]) == 401


@pytest.mark.parametrize("kind", ["postgresql", "bucket"])
def test_a_change_holds_for_the_next_request_with_every_engine(
    kind: str, in_process: InProcess, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.places import catalogs_of

    monkeypatch.setenv("MREG_CATALOG", catalogs_of(kind, request, monkeypatch, tmp_path)())
    monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path / "artifacts"))
    served, changed = mreg.open_registry(), mreg.open_registry()
    with served, changed:
        made = changed.create_token("ci")
        server = in_process(None, served)
        for _ in range(3):
            assert status(server, made.secret) == 200
            changed.revoke_token("ci")
            assert status(server, made.secret) == 401
            made = changed.create_token("ci")


def test_the_first_token_closes_an_open_server_for_ever(in_process: InProcess, other: LocalRegistry) -> None:
    server = in_process()
    assert server.get("/models").status_code == 200
    assert server.get("/whoami").json()["role"] == "admin"
    made = other.create_token("ci", role="writer")
    assert server.get("/models").status_code == 401
    assert status(server, made.secret) == 200
    other.revoke_token("ci")
    assert server.get("/models").status_code == 401
    assert in_process().get("/models").status_code == 401
    assert server.get("/healthz").status_code == 200


def test_an_expired_token_is_refused_and_told_when(in_process: InProcess, other: LocalRegistry) -> None:
    now = datetime.now(UTC)
    made = new_token("ci", Role.WRITER)
    past = Token(
        name="ci", role=Role.WRITER, digest=made.token.digest, expires=now.replace(microsecond=0) - timedelta(hours=1)
    )
    other._session.write(lambda writer: TokenWriter(writer).create(past))
    assert past.expires is not None
    expected = f"the token 'ci' expired at {past.expires.isoformat().replace('+00:00', 'Z')}"
    assert detail(in_process(), made.secret) == (401, expected, "Bearer")
    in_file = in_process(ServerSettings(tokens=(past,)))
    assert detail(in_file, made.secret) == (401, expected, "Bearer")
    assert [token.name for token in other.tokens()] == ["ci"]
    assert other.create_token("ci").token.name == "ci"  # replaces it


def test_whoami_tells_a_client_what_its_token_permits(in_process: InProcess, other: LocalRegistry) -> None:
    made = other.create_token("ci", role="writer", models=["team-a/*", "x"], expires="2999-01-01")
    found = in_process().get("/whoami", headers={"Authorization": f"Bearer {made.secret}"}).json()
    assert found == {
        "name": "ci",
        "role": "writer",
        "models": ["team-a/*", "x"],
        "expires": "2999-01-01T00:00:00.000000Z",
        "version": mreg.__version__,
    }


def test_the_list_of_tokens_has_the_uses_of_a_moment_ago(
    in_process: InProcess, other: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "USE_SECONDS", 3600.0)
    secrets = {name: other.create_token(name, role="admin").secret for name in ("ci", "ada")}
    server = in_process()
    assert status(server, secrets["ci"]) == 200
    listed = server.get("/tokens", headers={"Authorization": f"Bearer {secrets['ada']}"}).json()
    assert all(token["last_used_at"] for token in listed), listed


def test_the_last_use_is_recorded_without_an_event(
    in_process: InProcess, other: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "USE_SECONDS", 0.0)
    made = other.create_token("ci")
    server = in_process()
    deadline = time.monotonic() + 20
    while (used := other.tokens()[0].last_used_at) is None:
        assert status(server, made.secret) == 200
        assert time.monotonic() < deadline
    for _ in range(5):
        assert status(server, made.secret) == 200
    assert other.tokens()[0].last_used_at == used
    assert [event.action for event in other.history()] == ["token.created"]


def test_a_read_only_server_records_no_use(
    in_process: InProcess, other: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "USE_SECONDS", 0.0)
    monkeypatch.setattr(LocalRegistry, "record_token_uses", lambda *_: pytest.fail("a use was recorded"))
    made = other.create_token("ci")
    server = in_process(ServerSettings(read_only=True))
    for _ in range(3):
        assert status(server, made.secret) == 200


def test_a_token_of_the_file_and_one_of_the_catalog_are_both_accepted(
    in_process: InProcess, other: LocalRegistry
) -> None:
    in_file, stored = new_token("admin", Role.ADMIN), other.create_token("ci")
    server = in_process(ServerSettings(tokens=(in_file.token,)))
    assert (status(server, in_file.secret), status(server, stored.secret)) == (200, 200)
    headers = {"Authorization": f"Bearer {in_file.secret}"}
    refused = server.post("/tokens", {"name": "admin"}, headers=headers)
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "token 'admin' already exists in the token file of the server",
    )


def test_an_unknown_secret_is_not_looked_up_again_while_the_catalog_is_unchanged(
    in_process: InProcess, other: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    find = LocalRegistry.find_tokens

    def counted(self: LocalRegistry, digests: list[object]) -> object:
        reads.append(len(digests))
        return find(self, digests)  # type: ignore[arg-type]

    other.create_token("ci")
    monkeypatch.setattr(LocalRegistry, "find_tokens", counted)
    server = in_process()
    unknown = new_token("x").secret
    for _ in range(20):
        assert status(server, unknown) == 401
        assert status(server, "mreg_" + "é" * 10) == 401
        assert status(server, "") == 401
    assert len(reads) <= 2
    other.register("m")
    assert status(server, unknown) == 401
    assert len(reads) <= 3


def test_nobody_is_let_in_while_the_catalog_cannot_be_read(in_process: InProcess, other: LocalRegistry) -> None:
    made = other.create_token("ci")
    server = in_process()
    assert status(server, made.secret) == 200
    path = Path(other.profile.catalog)
    path.rename(path.with_name("away.db"))
    found = server.get("/models", headers={"Authorization": f"Bearer {made.secret}"})
    assert (found.status_code, found.json()["code"]) == (503, "unavailable")
    assert str(path.parent) not in found.text
    path.with_name("away.db").rename(path)
    assert status(server, made.secret) == 200
