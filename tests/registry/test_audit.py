"""The audit trail is verified from its first event to the last, however many there are."""

from __future__ import annotations

import pytest

import mreg
from mreg.catalog import reader as reader_module
from mreg.registry.local import LocalRegistry
from mreg.testing.database import EVENT


@pytest.mark.parametrize("seq", [-(2**63) + 1, -1, 0])
def test_an_event_with_a_number_below_1_is_damage(registry: LocalRegistry, seq: int) -> None:
    registry.register("m")
    assert registry.verify_audit().events == 1
    registry._session.write_quietly(lambda writer: writer.connection.run("events.insert", seq=seq, **EVENT))  # type: ignore[arg-type]
    with pytest.raises(mreg.Corrupt):
        registry.verify_audit()


def test_the_audit_trail_is_verified_page_by_page(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        registry.register(f"m{number}")
    for page in (1, 2, 5, 6):
        monkeypatch.setattr(reader_module, "PAGE", page)
        events = registry._session.catalog.read(lambda each: list(each.all_events()))
        assert [event.seq for event in events] == [1, 2, 3, 4, 5]
        assert (registry.verify_audit().events, registry.verify_audit().last_hash) == (5, events[-1].hash)
