"""JSON of a server that has not the shape of a result."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.errors import BadInput, MregError
from mreg.server.examples import RESULTS
from mreg.wire import decode, encode
from mreg.wire.envelope import add_rest, open_envelope

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of each value in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*place, key)
        yield from places(item, (*place, key))


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
@given(data=st.data())
def test_any_change_of_an_answer_is_a_result_or_bad_input(result: Any, data: st.DataObject) -> None:
    document = copy.deepcopy(encode(result))
    place = data.draw(st.sampled_from(list(places(document))))
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    if data.draw(st.booleans()):
        holder[place[-1]] = data.draw(JSON)
    else:
        del holder[place[-1]]
    try:
        found = decode(type(result), document)
    except MregError as error:
        assert isinstance(error, BadInput)
    else:
        repr(found)
        encode(found)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_keys_of_a_later_release_are_ignored(result: Any) -> None:
    document = copy.deepcopy(encode(result))
    for place in [(), *places(document)]:
        holder = document
        for key in place:
            holder = holder[key]
        if isinstance(holder, dict) and "version_id" in holder:
            holder["invented"] = {"a": 1}
    assert decode(type(result), document) == result


@given(JSON)
def test_any_json_is_an_envelope_or_bad_input(document: Any) -> None:
    for shape in (
        document,
        {"result": 1, **dict.fromkeys(("notices", "events", "deployments", "rollbacks"), document)},
    ):
        try:
            open_envelope(shape)
        except BadInput:
            continue


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
@given(rest=JSON)
def test_any_rest_is_added_or_bad_input(result: Any, rest: Any) -> None:
    try:
        add_rest(result, rest)
    except BadInput:
        pass
