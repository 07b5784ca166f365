from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.lineage import would_cycle
from mreg.domain.names import VersionRef
from mreg.errors import BadInput
from mreg.results.lineage import LineageNode, flatten, nest


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
        return LineageNode(reference=VersionRef.parse(text), related=related)

    tree = (node("a@1", node("a@2", node("a@3")), node("a@4")), node("b@1"))
    assert [(depth, str(one.reference)) for depth, one in flatten(tree)] == [
        (0, "a@1"),
        (1, "a@2"),
        (2, "a@3"),
        (1, "a@4"),
        (0, "b@1"),
    ]


@given(st.integers(1, 8), st.dictionaries(st.integers(1, 8), st.integers(1, 8)))
def test_the_question_ends_also_where_there_is_a_cycle_already(version: int, parents: dict[int, int]) -> None:
    assert would_cycle(version, version, parents.get)
    assert would_cycle(0, version, parents.get) is False


@given(st.integers(2, 200))
def test_no_ancestor_may_become_a_child(length: int) -> None:
    parents = {number: number - 1 for number in range(2, length + 1)}
    assert all(would_cycle(ancestor, length, parents.get) for ancestor in range(1, length + 1))
    assert not would_cycle(length + 1, length, parents.get)


Shape: TypeAlias = "tuple[Shape, ...]"

TREES = st.recursive(
    st.just(()), lambda trees: st.lists(trees, max_size=3).map(tuple), max_leaves=12
)  # a node is the tuple of those below it


@given(st.lists(TREES, max_size=3))
def test_a_tree_is_flattened_whole_and_in_the_order_of_reading(shape: list[Shape]) -> None:
    number = 0
    expected: list[tuple[int, str]] = []

    def node(below: Shape, depth: int) -> LineageNode:
        nonlocal number
        number += 1
        reference = VersionRef.parse(f"m@{number}")
        expected.append((depth, str(reference)))
        related = tuple(node(one, depth + 1) for one in below)
        return LineageNode(reference=reference, related=related)

    tree = [node(one, 0) for one in shape]
    assert [(depth, str(one.reference)) for depth, one in flatten(tree)] == expected
    assert nest((depth, replace(one, related=())) for depth, one in flatten(tree)) == tuple(tree)


@pytest.mark.parametrize("depths", [(1,), (0, 2), (0, 1, 3), (-1,)])
def test_a_list_that_skips_a_level_is_not_a_tree(depths: tuple[int, ...]) -> None:
    node = LineageNode(reference=VersionRef.parse("m@1"))
    with pytest.raises(BadInput, match="invalid lineage: m@1 has depth"):
        nest((depth, node) for depth in depths)


def test_a_tree_deeper_than_the_stack_is_flattened() -> None:
    found = LineageNode(reference=VersionRef.parse("m@1"))
    for number in range(2, 5_000):
        found = LineageNode(reference=VersionRef.parse(f"m@{number}"), related=(found,))
    assert [depth for depth, _ in flatten([found])] == list(range(4_999))
    (nested,) = nest((depth, replace(one, related=())) for depth, one in flatten([found]))
    assert [str(one.reference) for _, one in flatten([nested])] == [f"m@{number}" for number in range(4_999, 0, -1)]
