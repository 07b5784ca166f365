"""Values of the Python API: read-only mappings, copies, pickles, hashes and short representations."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mreg.domain.model import ModelStage, ModelVersion
from mreg.domain.value import FrozenMapping
from mreg.results import Page
from mreg.wire import encode, json_text
from tests.conftest import FULL
from tests.wire.test_round_trip import RESULTS, TEXTS, VERSIONS

COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def examples(count: int = 8) -> settings:
    return settings(max_examples=300 if FULL else count, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_a_result_can_be_copied_pickled_hashed_and_shown(kind: type[Any]) -> None:
    @examples()
    @given(RESULTS[kind])
    def check(result: Any) -> None:
        for duplicate in COPIES.values():
            again = duplicate(result)
            assert type(again) is kind
            assert again == result
            assert hash(again) == hash(result)
        assert repr(result).isprintable()
        document = result.to_dict()
        assert document == encode(result)
        assert json_text(document) == json.dumps(document, indent=2, ensure_ascii=False)

    check()


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_no_mapping_of_a_result_can_be_changed(kind: type[Any]) -> None:
    @examples(3)
    @given(RESULTS[kind])
    def check(result: Any) -> None:
        for value in nested(result):
            assert type(value) is not dict

    check()


def nested(value: Any) -> list[Any]:
    """The values of all fields, also of values inside."""
    found = []
    for field in fields(value):
        held = getattr(value, field.name)
        for one in held if isinstance(held, tuple) else (held,):
            found.append(one)
            if is_dataclass(one) and not isinstance(one, type):
                found += nested(one)
    return found


CHANGES = {
    "set": lambda mapping: mapping.__setitem__("a", "c"),
    "delete": lambda mapping: mapping.__delitem__("a"),
    "update": lambda mapping: mapping.update(a="c"),
    "merge": lambda mapping: mapping.__ior__({"a": "c"}),
    "pop": lambda mapping: mapping.pop("a"),
    "pop an item": lambda mapping: mapping.popitem(),
    "default": lambda mapping: mapping.setdefault("z", "c"),
    "clear": lambda mapping: mapping.clear(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_frozen_mapping_refuses_a_change(change: str) -> None:
    mapping = FrozenMapping({"a": "b"})
    with pytest.raises(TypeError, match=r"this mapping is read-only; dict\(mapping\) returns a copy"):
        CHANGES[change](mapping)
    assert mapping == {"a": "b"}
    assert dict(mapping) | {"a": "c"} == {"a": "c"}


@given(TEXTS)
def test_the_order_of_entries_changes_neither_equality_nor_hash(entries: dict[str, str]) -> None:
    backwards = FrozenMapping(dict(reversed(entries.items())))
    assert backwards == FrozenMapping(entries) == entries
    assert hash(backwards) == hash(FrozenMapping(entries))


def test_a_mapping_that_is_changed_later_does_not_change_the_version_made_of_it() -> None:
    @examples(1)
    @given(VERSIONS)
    def check(version: ModelVersion) -> None:
        tags = {"team": "red"}
        made = replace(version, tags=tags)
        tags["team"] = "blue"
        assert made.tags == {"team": "red"}

    check()


def test_the_representation_of_a_version_names_it_its_stage_and_its_primary_metric() -> None:
    @examples(1)
    @given(VERSIONS)
    def check(version: ModelVersion) -> None:
        metrics = {"loss": 0.2, "accuracy": 0.95}
        staged = replace(version, stage=ModelStage.PRODUCTION, metrics=metrics)
        assert repr(staged) == f"<ModelVersion {version.reference} Production accuracy=0.95>"
        assert repr(replace(staged, stage=ModelStage.NONE, metrics={})) == f"<ModelVersion {version.reference}>"
        assert repr(replace(staged, metrics={"\x1b[2Jaccuracy": 1})).isprintable()

    check()


@given(st.lists(st.integers(), max_size=8), st.booleans(), st.slices(8))
def test_a_slice_of_a_page_is_a_page(items: list[int], more: bool, part: slice) -> None:
    page = Page(items, more=more)
    found = page[part]
    assert isinstance(found, Page)
    assert list(found) == items[part]
    assert found.more or not more


def test_a_slice_knows_whether_items_follow() -> None:
    page = Page(range(12))
    assert [page[:3].more, page[3:].more, page[3:5].more, page[20:].more, page[:0].more] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert page[-1] == 11
    assert repr(page[:2]) == "<Page of 2 and more: [0, 1]>"
    assert repr(page) == "<Page of 12: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]>"


@pytest.mark.parametrize("way", COPIES)
def test_a_copied_page_is_the_same_page(way: str) -> None:
    page = Page([1, 2], more=True)
    again = COPIES[way](page)
    assert (again, again.more, again.kind) == (page, True, int)
    assert hash(again) == hash(page)
