import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.events import GENESIS, Event, chained, details_text, event_hash, first_broken, stages_at, time_text
from mreg.domain.model import ModelStage
from mreg.errors import Corrupt

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


FIELDS: dict[str, Any] = {"actor": "you", "action": "undid", "model": "x", "version": 2, "details": {"n": -1}, "model_id": 9,
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
    edited = replace(events[place], actor="you")
    events[place] = replace(edited, hash=event_hash(edited))
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


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DETAILS = st.dictionaries(TEXTS, VALUES, max_size=4)
AWARE = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def told(draw: st.DrawFn, least: int = 0) -> list[Event]:
    events: list[Event] = []
    for _ in range(draw(st.integers(least, 5))):
        events.append(
            chained(
                events[-1] if events else None,
                at=draw(AWARE),
                actor=draw(TEXTS),
                action=draw(TEXTS),
                details=draw(DETAILS),
                model_id=draw(st.integers(0, 3)),
                model=draw(TEXTS),
                version=draw(st.none() | st.integers(1, 9)),
            )
        )
    return events


@given(told(least=1))
def test_whatever_is_told_makes_a_whole_chain(events: list[Event]) -> None:
    assert first_broken(events) is None
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.previous for event in events] == [GENESIS, *(event.hash for event in events[:-1])]


@given(told(least=1), told(least=1), st.data())
def test_any_edit_removal_swap_copy_or_graft_is_found(
    events: list[Event], others: list[Event], data: st.DataObject
) -> None:
    forged = list(events)
    place = data.draw(st.integers(0, len(events) - 1))
    way = data.draw(st.sampled_from(["edit", "remove", "swap", "copy", "graft"]))
    if way == "edit":
        field = data.draw(st.sampled_from(["seq", "at", "actor", "action", "model_id", "model", "version", "details"]))
        values = {"seq": st.integers(1, 9), "at": AWARE, "details": DETAILS, "model_id": st.integers(0, 9)}
        value: Any = data.draw(values.get(field, st.none() | st.integers(1, 9) if field == "version" else TEXTS))
        forged[place] = replace(forged[place], **{field: value})
    elif way == "remove":
        del forged[place]
    elif way == "swap":
        other = data.draw(st.integers(0, len(events) - 1))
        forged[place], forged[other] = forged[other], forged[place]
    elif way == "copy":
        forged.insert(data.draw(st.integers(0, len(events))), forged[place])
    else:
        forged[place : place + 1] = others
    broken = first_broken(forged)
    if broken is None:  # the same story, but for events cut off or put on at its end by one who can hash
        shared = min(len(forged), len(events))
        same = [one.hash for one in forged[:shared]] == [one.hash for one in events[:shared]]
        assert same or (way == "graft" and place == 0)
    else:
        assert 1 <= broken <= len(forged)


@given(DETAILS)
def test_details_have_one_text_also_after_they_were_read_back(details: dict[str, object]) -> None:
    assert details_text(json.loads(details_text(details))) == details_text(details)
    assert details_text(dict(reversed(details.items()))) == details_text(details)


@given(AWARE, AWARE)
def test_the_order_of_texts_is_the_order_of_times(one: datetime, other: datetime) -> None:
    assert (one < other) == (time_text(one) < time_text(other))
    assert datetime.fromisoformat(time_text(one)) == one


@pytest.mark.parametrize(
    "details",
    [{"n": float("nan")}, {"n": float("inf")}, {"t": "\udcff"}, {"t": object()}, {1: "a", "b": 2}],
    ids=["nan", "infinity", "surrogate", "object", "keys"],
)
def test_an_event_that_nobody_could_have_written_breaks_the_chain_at_its_place(details: dict[str, object]) -> None:
    events = chain(3)
    events[1] = replace(events[1], details=details)
    assert first_broken(events) == 2


def test_fields_can_not_be_shifted_into_one_another() -> None:
    event = chained(None, at=AT, actor="a,b", action="c", details={})
    assert event_hash(event) != event_hash(replace(event, actor="a", action="b,c"))
    assert event_hash(event) != event_hash(replace(event, actor='a,b","c', action=""))


def test_the_hash_is_the_one_that_older_catalogs_hold() -> None:
    event = chained(
        None,
        at=AT,
        actor="é",
        action="version.pushed",
        details={"b": 1, "a": [0.1, None]},
        model_id=1,
        model="m",
        version=1,
    )
    assert event.hash == "11a73cbb674607a0ab5ea8209025e51db6167f15ca8142a529be458defc902f0"


STAGES = st.sampled_from(ModelStage)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "stage", "stage", "stage", "delete", "other"]), st.integers(1, 6), STAGES
    ),
    max_size=30,
)


def story_of(steps: list[tuple[str, int, ModelStage]]) -> tuple[list[Event], dict[int, ModelStage]]:
    """Events that a registry could have written, and the stages that they lead to."""
    stages: dict[int, ModelStage] = {}
    events: list[Event] = []

    def tell(action: str, version: int | None, **details: object) -> None:
        last = events[-1] if events else None
        events.append(chained(last, at=AT, actor="me", action=action, details=details, model="m", version=version))

    tell("model.registered", None)
    pushed = 0
    for step, version, stage in steps:
        if step == "push":
            pushed += 1
            stages[pushed] = ModelStage.NONE
            tell("version.pushed", pushed)
        elif version not in stages:
            continue
        elif step == "stage":
            back = {"reason": "", "returned": False, "replaced_by": None}
            tell("version.stage_changed", version, **{"from": stages[version].value, "to": stage.value, **back})
            stages[version] = stage
        elif step == "delete":
            tell("version.deleted", version, stage=stages.pop(version).value)
        else:
            tell("version.edited", version, description=["", "to"])
            tell("alias.set", version, alias="champion", before=None)
            tell("alias.removed", version, alias="champion")
            tell("model.edited", None, description=["", "x"])
            tell("model.renamed", None, to="n")
    return events, stages


@given(STEPS)
def test_a_replay_ends_where_the_versions_are(steps: list[tuple[str, int, ModelStage]]) -> None:
    events, stages = story_of(steps)
    found = stages_at(events)
    assert {version: stage for stage, versions in found.items() for version in versions} == stages
    assert all(versions and list(versions) == sorted(versions) for versions in found.values())
    assert sum(map(len, found.values())) == len(stages)


@given(STEPS, st.data())
def test_a_later_event_changes_the_place_of_its_version_alone(
    steps: list[tuple[str, int, ModelStage]], data: st.DataObject
) -> None:
    events, _ = story_of(steps)
    place = data.draw(st.integers(0, len(events) - 1))
    before, after = stages_at(events[:place]), stages_at(events[: place + 1])
    others = [
        {stage: [v for v in held if v != events[place].version] for stage, held in one.items()}
        for one in (before, after)
    ]
    assert {k: v for k, v in others[0].items() if v} == {k: v for k, v in others[1].items() if v}


@given(STEPS)
def test_nothing_is_left_of_a_deleted_model(steps: list[tuple[str, int, ModelStage]]) -> None:
    events, _ = story_of(steps)
    events.append(
        chained(events[-1], at=AT, actor="me", action="model.deleted", details={"last_version": 9}, model="m")
    )
    assert stages_at(events) == {}


@pytest.mark.parametrize(("details", "said"), [({"to": "Prod"}, "'Prod'"), ({}, "''"), ({"to": 7}, "'7'")])
def test_a_stage_that_there_is_not_is_found_as_damage(details: dict[str, object], said: str) -> None:
    event = chained(None, at=AT, actor="me", action="version.stage_changed", details=details, model="m", version=3)
    with pytest.raises(Corrupt) as caught:
        stages_at([event])
    assert caught.value.message == f"audit event 1 of version 3 is invalid: invalid stage {said}"
    assert caught.value.hint == "mreg audit verify"


@given(st.integers(-3, 9), st.integers(0, 3))
def test_a_number_left_out_is_found_though_the_hashes_fit(gap: int, place: int) -> None:
    events = chain(4)
    for number in range(place, 4):
        last = events[number - 1] if number else None
        told_anew = chained(last, at=AT, actor="me", action="did", details={})
        if number == place:
            told_anew = replace(told_anew, seq=gap)
            told_anew = replace(told_anew, hash=event_hash(told_anew))
        events[number] = told_anew
    assert first_broken(events) == (None if gap == place + 1 else place + 1)
