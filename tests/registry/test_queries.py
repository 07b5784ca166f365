"""Questions whose cost must not grow by a statement for each version, on every kind of catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

import mreg
from mreg.catalog.database import Connection, Row, Value
from mreg.catalog.reader import Reader
from mreg.catalog.writer import Writer
from mreg.domain.metadata import VersionMetadata
from mreg.domain.names import ModelName
from mreg.registry.local import LocalRegistry
from mreg.results.lineage import flatten
from mreg.results.models import ModelVersions
from tests.conftest import local_registry
from tests.places import NewCatalog, new_catalog  # noqa: F401  a fixture

STATEMENTS_PER_CHUNK = 3
CHUNK = 500
OTHER_STATEMENTS = 22
"""For the reference that is asked for, and for the tree of ids."""


class Counting(Connection):
    """A connection that counts the statements that read, and how many rows they gave."""

    def __init__(self, inner: Connection, read: list[tuple[str, int]]) -> None:
        self._inner, self._read = inner, read

    def _counted(self, what: str, rows: Sequence[Row]) -> Sequence[Row]:
        self._read.append((what, len(rows)))
        return rows

    def all(self, statement_name: str, **values: Value) -> Sequence[Row]:
        return self._counted(statement_name, self._inner.all(statement_name, **values))

    def one(self, statement_name: str, **values: Value) -> Row | None:
        row = self._inner.one(statement_name, **values)
        self._counted(statement_name, [] if row is None else [row])
        return row

    def query(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        return self._counted(sql, self._inner.query(sql, values))

    def run(self, statement_name: str, **values: Value) -> int:
        return self._inner.run(statement_name, **values)

    def insert(self, statement_name: str, **values: Value) -> int:
        return self._inner.insert(statement_name, **values)

    def run_many(self, statement_name: str, rows: Iterable[Mapping[str, Value]]) -> None:
        self._inner.run_many(statement_name, rows)

    def stream(self, sql: str) -> Iterator[Row]:
        return self._inner.stream(sql)

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        self._inner.fill(table, columns, rows)

    def clear(self, table: str) -> None:
        self._inner.clear(table)

    def last_key(self, table: str) -> int:
        return self._inner.last_key(table)

    def set_last_key(self, table: str, key: int) -> None:
        self._inner.set_last_key(table, key)


@pytest.fixture
def registry(new_catalog: NewCatalog) -> Iterator[LocalRegistry]:  # noqa: F811
    Path("model.pkl").write_bytes(b"model")
    with local_registry(catalog=new_catalog(), artifacts=str(Path("artifacts").absolute())) as opened:
        opened.push("model.pkl", name="m")
        yield opened


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The statements that questions run from now on, each with the number of rows that it gave."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr("mreg.catalog.catalog.Reader", lambda inner, *more: Reader(Counting(inner, found), *more))
    return found


def grow(registry: LocalRegistry, count: int, parent: Callable[[int], int]) -> None:
    """Add versions m@2, m@3 ... in one transaction.

    Args:
        parent: The number of a version's parent, by the version's number.
    """

    def add(writer: Writer) -> None:
        first = writer.version(writer.reload_model(ModelName("m")), 1)
        assert first is not None
        versions = {1: first}
        for number in range(2, count + 1):
            model = writer.reload_model(ModelName("m"))
            versions[number] = writer.add_version(
                model, artifact=first.artifact, metadata=VersionMetadata(), parent=versions[parent(number)]
            )

    registry._session.write(add)


def allowed(versions: int) -> int:
    return OTHER_STATEMENTS + STATEMENTS_PER_CHUNK * (versions // CHUNK + 1)


@pytest.mark.parametrize("shape", [lambda number: number - 1, lambda _: 1, lambda number: number // 2])
def test_a_lineage_takes_a_few_statements_for_hundreds_of_versions(
    registry: LocalRegistry, read: list[tuple[str, int]], shape: Callable[[int], int]
) -> None:
    grow(registry, 700, shape)
    read.clear()
    below = registry.lineage("m@1")
    assert len(flatten(below.children)) == 699
    assert len(read) <= allowed(700)
    read.clear()
    above = registry.lineage("m@700")
    assert len(flatten(above.parents)) == len(_ancestors(700, shape))
    assert [str(node.reference) for _, node in flatten(above.parents)] == [
        f"m@{number}" for number in _ancestors(700, shape)
    ]
    assert len(read) <= allowed(700)


def _ancestors(number: int, parent: Callable[[int], int]) -> list[int]:
    found = []
    while number > 1:
        number = parent(number)
        found.append(number)
    return found


def test_versions_with_as_many_parents_are_shown_by_a_few_statements(
    registry: LocalRegistry, read: list[tuple[str, int]]
) -> None:
    grow(registry, 700, lambda number: number - 1)
    read.clear()
    shown = registry.show("m")
    assert str(shown.versions[0].parent) == "m@699"  # type: ignore[union-attr]
    assert len(read) <= allowed(700)


def test_a_tree_keeps_the_order_and_the_deleted_versions(registry: LocalRegistry) -> None:
    grow(registry, 9, lambda number: number // 2)
    registry.delete("m@2")
    registry.delete("m@4")
    below = registry.lineage("m@1")
    assert [(depth, str(node.reference), node.stage is None) for depth, node in flatten(below.children)] == [
        (0, "m@2", True), (1, "m@4", True), (2, "m@8", False), (2, "m@9", False), (1, "m@5", False),
        (0, "m@3", False), (1, "m@6", False), (1, "m@7", False),
    ]  # fmt: skip
    above = registry.lineage("m@9")
    assert [(str(node.reference), node.stage is None) for _, node in flatten(above.parents)] == [
        ("m@4", True),
        ("m@2", True),
        ("m@1", False),
    ]


def test_a_tree_is_cut_at_its_limit(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(registry, 60, lambda number: number - 1)
    monkeypatch.setattr("mreg.registry.lineage.NODES_LIMIT", 50)
    assert len(flatten(registry.lineage("m@1").children)) == 49
    assert len(flatten(registry.lineage("m@60").parents)) == 50


def test_a_parent_that_would_close_a_long_circle_is_found_by_a_few_statements(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(registry, 300, lambda number: number - 1)
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(
        "mreg.catalog.writer.Writer",
        lambda inner, *more, **known: Writer(Counting(inner, found), *more, **known),
    )
    with pytest.raises(mreg.NotAllowed, match="m@300 cannot be the parent of m@1: it is a descendant"):
        registry.edit("m@1", parent="m@300")
    assert 0 < len(found) < 150


def test_why_reads_neither_all_events_of_a_version_nor_its_files(
    registry: LocalRegistry, read: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("net").mkdir()
    for number in (2, 3):
        Path("net/weights").write_text(str(number))
        registry.push("net", name="m", metrics={"accuracy": number / 10})
        registry.promote(f"m@{number}", to="production", reason=f"better {number}")
    for number in range(40):
        registry.tag("m@3", add={"n": str(number)})
    monkeypatch.setattr(
        "mreg.artifacts.store.ArtifactStore.manifest", lambda *_: pytest.fail("the list of files was read")
    )
    read.clear()
    why = registry.why("m@3")
    assert why.entered is not None
    assert why.entered.details["reason"] == "better 3"
    assert str(why.before) == "m@2"
    assert [(row.name, row.first, row.second) for row in why.metrics] == [("accuracy", 0.2, 0.3)]
    assert [count for what, count in read if what.startswith("events.")] == [1]
    assert len(read) <= 40


def test_why_compares_with_the_version_that_was_replaced(registry: LocalRegistry) -> None:
    def before(reference: str) -> int | None:
        found = registry.why(reference).before
        return None if found is None else found.number

    grow(registry, 6, lambda _: 1)
    registry.promote("m@1", to="production")
    assert before("m@1") is None
    for number in (2, 3):
        registry.promote(f"m@{number}", to="production")
        assert before(f"m@{number}") == number - 1
    registry.rollback("m")
    assert before("m@2") == 3
    registry.rollback("m")
    assert before("m@1") == 2
    registry.promote("m@4", to="production", keep_existing=True)
    assert before("m@4") == 1
    registry.promote("m@1", to="staging")
    assert before("m@1") is None
    registry.promote("m@5", to="production", keep_existing=True)
    assert before("m@5") == 4  # m@1 left later, and m@4 is still there
    registry.promote("m@6", to="production")  # replaces m@4 and m@5
    assert before("m@6") == 5
    registry.delete("m@5")
    assert before("m@6") == 4
    registry.archive("m@6", leave_production=True)
    registry.tag("m@6", add={"n": "1"})
    registry.promote("m@2", to="production")
    assert before("m@2") == 6


def test_why_names_the_last_entry_into_the_stage_that_the_version_is_in(registry: LocalRegistry) -> None:
    for to, reason in (("production", "first"), ("archived", "out"), ("production", "again"), ("none", "rest")):
        registry.promote("m@1", to=to, reason=reason, leave_production=True)
        why = registry.why("m@1")
        assert why.entered is not None
        assert (why.entered.details["to"], why.entered.details["reason"]) == (to.capitalize(), reason)
    grow(registry, 2, lambda _: 1)
    assert registry.why("m@2").entered is None


def test_a_reference_one_back_does_not_look_at_every_former_version(
    registry: LocalRegistry, read: list[tuple[str, int]]
) -> None:
    grow(registry, 30, lambda _: 1)
    for number in range(1, 31):
        registry.promote(f"m@{number}", to="production")
    read.clear()
    assert registry.version("m@production~1").version == 29
    assert registry.version("m@production~3").version == 27
    assert [what for what, _ in read].count("versions.exists") == 4


LISTS = {
    "models": lambda registry, **part: registry.models(**part),
    "versions": lambda registry, **part: registry.show("m", **part).versions,
    "search": lambda registry, **part: registry.search("version > 0", sort="-version", **part),
    "search by a metric": lambda registry, **part: registry.search("", sort="metrics.accuracy", **part),
    "history": lambda registry, **part: registry.history(**part),
    "history of a model": lambda registry, **part: registry.history("m", **part),
    "history of a version": lambda registry, **part: registry.history("m@2", **part),
    "history of a deleted version": lambda registry, **part: registry.history("m@1", **part),
}


@pytest.mark.parametrize("name", LISTS)
def test_pages_join_to_the_list_and_all_but_the_last_say_that_there_is_more(registry: LocalRegistry, name: str) -> None:
    grow(registry, 5, lambda _: 1)
    for other in ("n", "o"):
        registry.register(other)
    registry.delete("m@1")
    for text in ("a", "b", "c"):
        registry.edit("m@2", description=text)
    whole = LISTS[name](registry)
    assert len(whole) > 1
    assert not whole.more
    for limit in (1, 2, len(whole) - 1, len(whole), len(whole) + 1):
        found = [LISTS[name](registry, limit=limit, offset=offset) for offset in range(0, len(whole), limit)]
        assert tuple(item for page in found for item in page) == whole
        assert [page.more for page in found] == [True] * (len(found) - 1) + [False]
    beyond = LISTS[name](registry, limit=2, offset=len(whole) + 1)
    assert (beyond, beyond.more) == ((), False)


def test_a_model_with_a_page_of_its_versions_says_whether_it_has_older_ones(registry: LocalRegistry) -> None:
    grow(registry, 12, lambda _: 1)
    newest, rest = registry.show("m", limit=10), registry.show("m", limit=10, offset=2)
    assert isinstance(newest, ModelVersions)
    assert isinstance(rest, ModelVersions)
    assert (newest.more, rest.more) == (True, False)
