"""Recorded requests: their age to the microsecond, and what a damaged one does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mreg.catalog.requests import FORGOTTEN_AT_ONCE, RECENT, REMEMBERED, Requests, RequestWriter, StoredRequest
from mreg.domain.digest import Digest
from mreg.errors import BadInput, Conflict, Corrupt
from mreg.registry.local import LocalRegistry

AT = datetime(2026, 3, 1, tzinfo=UTC)
ONE, TWO = Digest.sha256("1" * 64), Digest.sha256("2" * 64)


def record(
    registry: LocalRegistry,
    key: str,
    at: datetime = AT,
    caller: str = "ci",
    fingerprint: Digest = ONE,
    version: int = 1,
) -> None:
    registry._session.catalog.write(
        lambda writer: RequestWriter(writer).record_request(key, caller, fingerprint, version), actor="me", at=at
    )


def recorded(registry: LocalRegistry, key: str, caller: str = "ci") -> StoredRequest | None:
    return registry._session.catalog.read(lambda reader: Requests(reader).request(key, caller))


def test_a_request_is_remembered_for_two_days_and_a_thousand_versions(registry: LocalRegistry) -> None:
    assert (timedelta(days=2), 1_000) == (REMEMBERED, RECENT)
    record(registry, "old", fingerprint=TWO, version=7)
    record(registry, "other", AT + REMEMBERED)
    assert recorded(registry, "old") == StoredRequest(fingerprint=TWO, version_id=7)
    after = AT + REMEMBERED + timedelta(microseconds=1)
    for at, version in ((AT + REMEMBERED, 8 + RECENT), (after, 7 + RECENT)):
        with pytest.raises(Conflict) as caught:
            record(registry, "old", at, version=version)
        assert (caught.value.message, caught.value.hint) == (
            "repeated idempotency key: a version was made with it",
            "use a new key",
        )
    record(registry, "old", after, version=8 + RECENT)  # it was forgotten
    assert recorded(registry, "old") == StoredRequest(fingerprint=ONE, version_id=8 + RECENT)
    assert recorded(registry, "other") is not None


def test_one_request_removes_the_hundred_oldest(registry: LocalRegistry) -> None:
    assert FORGOTTEN_AT_ONCE == 100
    for number in range(102):
        record(registry, f"k{number}", AT + timedelta(seconds=number))
    record(registry, "new", AT + timedelta(days=3), version=2 + RECENT)
    assert [number for number in range(102) if recorded(registry, f"k{number}")] == [100, 101]


def test_a_key_and_a_caller_are_lines_of_text(registry: LocalRegistry) -> None:
    for bad in ("", "a\nb", "\x1b[2J", "x" * 1000):
        with pytest.raises(BadInput, match="invalid idempotency key"):
            record(registry, bad)
        with pytest.raises(BadInput, match="invalid caller"):
            record(registry, "key", caller=bad)
    record(registry, "key")
    record(registry, "key", caller="other", version=2)  # keys of another caller are others
    assert recorded(registry, "key", "other") == StoredRequest(fingerprint=ONE, version_id=2)
    assert recorded(registry, "key", "third") is None


@pytest.mark.parametrize(("column", "value"), [("version_id", 0), ("version_id", "1x"), ("fingerprint", "1" * 63)])
def test_a_damaged_request_is_an_error(registry: LocalRegistry, column: str, value: object) -> None:
    values = {
        "caller": "ci",
        "key": "key",
        "fingerprint": "1" * 64,
        "version_id": 1,
        "at": "2026-03-01T00:00:00.000000Z",
    }
    damaged = {**values, column: value}
    registry._session.write_quietly(lambda writer: writer.connection.run("requests.insert", **damaged))  # type: ignore[arg-type]
    with pytest.raises(Corrupt):
        recorded(registry, "key")
