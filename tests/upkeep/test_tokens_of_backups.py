"""Tokens when a catalog is backed up, restored and copied."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import mreg
from mreg.catalog.requests import RequestWriter
from mreg.catalog.tokens import Tokens, TokenWriter
from mreg.domain.digest import Digest
from mreg.registry.local import LocalRegistry
from mreg.results.tokens import Role, Token, TokenInfo
from tests.conftest import Mreg

DIGESTS = {name: Digest.sha256(f"{number:064x}") for number, name in enumerate(("ada", "ci", "eve", "old", "new"))}


def create(registry: LocalRegistry, name: str, expires: datetime | None = None) -> None:
    token = Token(name=name, role=Role.WRITER, digest=DIGESTS[name], expires=expires)
    registry._session.write(lambda writer: TokenWriter(writer).create(token))


def revoke(registry: LocalRegistry, name: str) -> None:
    registry._session.write(lambda writer: TokenWriter(writer).revoke(name))


def usable(registry: LocalRegistry) -> list[str]:
    return [token.name for token in registry._session.catalog.read(lambda reader: Tokens(reader).usable())]


def token_of(registry: LocalRegistry, name: str) -> TokenInfo | None:
    found = registry._session.catalog.read(lambda reader: Tokens(reader).by_digest(DIGESTS[name]))
    return found[1] if found else None


def opened(path: Path, notes: list[str] | None = None) -> LocalRegistry:
    registry = mreg.open_registry(catalog=str(path))
    assert isinstance(registry, LocalRegistry)
    return registry.acting_as("root", notes.append) if notes is not None else registry


def fill(registry: LocalRegistry) -> None:
    """A model, and a backup with the tokens ada, ci, eve (revoked before it) and old (expired)."""
    registry.register("m")
    for name in ("ada", "ci", "eve"):
        create(registry, name)
    create(registry, "old", datetime.now(UTC) + timedelta(microseconds=1))
    revoke(registry, "eve")
    registry.backup("backup.db")


def test_a_restore_leaves_the_tokens_of_the_catalog_as_they_are(tmp_path: Path) -> None:
    notes: list[str] = []
    with opened(tmp_path / "catalog.db", notes) as registry:
        fill(registry)
        revoke(registry, "ci")
        create(registry, "new")
        registry.restore("backup.db")
        assert usable(registry) == ["ada", "old", "new"]
        (event,) = registry.history(limit=1)
        assert (event.action, event.details["tokens"]) == ("catalog.restored", ["ada", "old", "new"])
        assert notes == []
        registry.restore("backup.db", with_tokens=True)
        assert usable(registry) == ["ada", "old", "new"]
        revoked = token_of(registry, "ci")
        assert revoked is not None
        assert revoked.revoked_at is not None
        registry.verify_audit()


def test_a_lost_catalog_gets_tokens_back_only_if_asked_for(
    tmp_path: Path, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "catalog.db") as registry:
        fill(registry)
        revoke(registry, "ci")
    (tmp_path / "catalog.db").write_bytes(b"damaged")
    notes: list[str] = []
    with opened(tmp_path / "catalog.db", notes) as registry:
        registry.restore("backup.db")
        assert usable(registry) == []
        assert [note.partition(";")[0] for note in notes] == ["tokens of the backup that were not restored: ada, ci"]
        assert registry.history(limit=1)[0].details.keys() == {"events", "last_hash", "file"}
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    done = command("restore", "backup.db", "--with-tokens", "--yes")
    assert done.code == 0, done.err
    assert "active tokens of the backup: ada, ci; if one of them was revoked after the backup" in done.err
    with opened(tmp_path / "catalog.db") as registry:
        assert usable(registry) == ["ada", "ci", "old"]
        eve = token_of(registry, "eve")
        assert eve is not None
        assert eve.revoked_at is not None


def test_a_token_of_a_backup_does_not_take_the_name_of_another(tmp_path: Path) -> None:
    with opened(tmp_path / "other.db") as other:
        fill(other)
    with opened(tmp_path / "catalog.db") as registry:
        registry.register("x")
        token = Token(name="ci", role=Role.READER, digest=DIGESTS["new"])
        registry._session.write(lambda writer: TokenWriter(writer).create(token))
        registry.restore("backup.db", with_tokens=True)
        assert token_of(registry, "ci") is None
        assert sorted(usable(registry)) == ["ada", "ci", "old"]


def test_a_copy_of_the_catalog_has_its_tokens_and_no_requests(tmp_path: Path) -> None:
    with opened(tmp_path / "catalog.db") as registry, opened(tmp_path / "copy.db") as copy:
        fill(registry)
        registry._session.write(lambda writer: RequestWriter(writer).record_request("key", "ci", DIGESTS["ci"], 1))
        registry.copy_catalog(copy)
        for name in ("ada", "ci", "eve", "old"):
            assert token_of(copy, name) == token_of(registry, name)
        assert copy._session.catalog.read(lambda reader: reader.connection.query("SELECT * FROM requests", {})) == []


def test_a_restore_forgets_requests_whose_versions_it_replaces(tmp_path: Path) -> None:
    with opened(tmp_path / "catalog.db") as registry:
        fill(registry)
        registry._session.write(lambda writer: RequestWriter(writer).record_request("key", "ci", DIGESTS["ci"], 1))
        registry.restore("backup.db")
        assert (
            registry._session.catalog.read(lambda reader: reader.connection.query("SELECT * FROM requests", {})) == []
        )
