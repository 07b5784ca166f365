"""The audit trail is verified from its first event to the last, however many there are."""

from __future__ import annotations

from pathlib import Path

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


def test_a_number_counts_as_used_if_a_version_ever_had_it(registry: LocalRegistry) -> None:
    Path("model").write_text("1")
    for _ in range(3):
        registry.push("model", name="m")
    registry.delete("m@1")
    registry.delete("m@3")
    bundle = registry.export("m@2", "bundle.mreg").destination
    registry.import_bundle(bundle, "n")  # keeps the number 2

    def used(name: str) -> list[int]:
        model = registry.model(name)
        return registry._session.catalog.read(lambda reader: [n for n in range(1, 5) if reader.has_used(model, n)])

    assert used("m") == [1, 2, 3]
    assert used("n") == [2]
    gone = registry.model("n")
    registry.delete("n", force=True)
    assert registry._session.catalog.read(lambda reader: reader.has_used(gone, 2)) is False


def test_a_model_that_keeps_its_name_has_no_new_event(registry: LocalRegistry) -> None:
    registry.register("m")
    events, model = registry.verify_audit().events, registry.model("m")
    assert registry._session.write_quietly(lambda writer: writer.rename(model, model.name)) == model
    assert registry.rename("m", "m") == registry.model("m")
    assert registry.verify_audit().events == events
