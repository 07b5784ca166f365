from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.events import Event, chained, event_hash, first_broken, stages_at, time_text
from mreg.domain.lineage import LineageNode, flatten, would_cycle
from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def chain(length: int) -> list[Event]:
    events: list[Event] = []
    for number in range(length):
        last = events[-1] if events else None
        events.append(chained(last, at=AT, actor="me", action="did", details={"n": number}, model="m", version=1))
    return events


@given(st.integers(0, 6))
def test_a_chain_as_written_is_whole(length: int) -> None:
    assert first_broken(chain(length)) is None


FIELDS = {"actor": "you", "action": "undid", "model": "x", "version": 2, "details": {"n": -1}, "model_id": 9,
          "at": AT + timedelta(microseconds=1), "hash": "f" * 64, "previous": "e" * 64, "seq": 99}  # fmt: skip


@given(st.integers(1, 6), st.data())
def test_an_edited_event_is_found_at_its_place(length: int, data: st.DataObject) -> None:
    events = chain(length)
    place = data.draw(st.integers(0, length - 1))
    field = data.draw(st.sampled_from(sorted(FIELDS)))
    events[place] = replace(events[place], **{field: FIELDS[field]})
    assert first_broken(events) == place + 1


@given(st.integers(2, 6), st.data())
def test_an_event_that_was_edited_and_hashed_anew_breaks_the_next_link(length: int, data: st.DataObject) -> None:
    events = chain(length)
    place = data.draw(st.integers(0, length - 2))
    old = events[place]
    fields = {name: getattr(old, name) for name in Event.__slots__ if name not in ("hash", "actor")}
    events[place] = replace(old, actor="you", hash=event_hash(actor="you", **fields))
    assert first_broken(events) == place + 2


@given(st.integers(2, 6), st.data())
def test_a_missing_or_moved_event_is_found(length: int, data: st.DataObject) -> None:
    events = chain(length)
    place = data.draw(st.integers(0, length - 2))
    assert first_broken(events[:place] + events[place + 1 :]) == place + 1
    events[place], events[place + 1] = events[place + 1], events[place]
    assert first_broken(events) == place + 1


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)), st.integers(-12, 12))  # noqa: DTZ001
def test_time_texts_have_one_length_and_do_not_depend_on_the_zone(at: datetime, hours: int) -> None:
    assert len(time_text(at)) == 27
    if 1 < at.year < 9999:
        assert time_text(at.astimezone(timezone(timedelta(hours=hours)))) == time_text(at)


def test_stages_are_replayed_from_events() -> None:
    def event(action: str, version: int, **details: object) -> Event:
        return chained(None, at=AT, actor="me", action=action, details=details, version=version)

    story = [
        event("version.pushed", 1),
        event("version.stage_changed", 1, **{"from": "None", "to": "Production"}),
        event("version.pushed", 2),
        event("version.stage_changed", 1, **{"from": "Production", "to": "Archived"}),
        event("version.stage_changed", 2, **{"from": "None", "to": "Production"}),
        event("version.pushed", 3),
        event("version.deleted", 3),
    ]
    assert stages_at(story[:2]) == {ModelStage.PRODUCTION: (1,)}
    assert stages_at(story) == {ModelStage.PRODUCTION: (2,), ModelStage.ARCHIVED: (1,)}


@given(st.dictionaries(st.integers(1, 8), st.integers(1, 8)), st.integers(1, 8), st.integers(1, 8))
def test_a_parent_that_is_allowed_makes_no_cycle(parents: dict[int, int], version: int, parent: int) -> None:
    acyclic: dict[int, int] = {}
    for child, wanted in [*parents.items(), (version, parent)]:
        if not would_cycle(child, wanted, acyclic.get):
            acyclic[child] = wanted
    for start in acyclic:
        seen, current = set(), start
        while current in acyclic:
            assert current not in seen
            seen.add(current)
            current = acyclic[current]


def test_a_tree_is_read_node_before_related() -> None:
    def node(text: str, *related: LineageNode) -> LineageNode:
        return LineageNode(reference=VersionRef.parse(text), version=None, related=related)

    tree = (node("a@1", node("a@2", node("a@3")), node("a@4")), node("b@1"))
    assert [(depth, str(one.reference)) for depth, one in flatten(tree)] == [
        (0, "a@1"), (1, "a@2"), (2, "a@3"), (1, "a@4"), (0, "b@1"),
    ]  # fmt: skip
