from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
from mreg.domain.manifest import ManifestEntry
from mreg.domain.metrics import DIGITS_LIMIT, Verdict, exact, exact_arithmetic
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelVersion, Source
from mreg.domain.names import ModelName
from mreg.errors import BadInput
from mreg.registry.compare import Tolerance, compare_versions, regressions
from mreg.registry.local import LocalRegistry
from mreg.results.comparison import Comparison

ZERO = Digest.sha256("0" * 64)
ONE = Digest.sha256("1" * 64)


def version(number: int, metrics: dict[str, float], digest: Digest = ZERO, **fields: Any) -> ModelVersion:
    artifact = ModelArtifact(kind=ArtifactKind.FILE, name="m.pkl", path="file:///m", size_bytes=1, digest=digest)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return ModelVersion(
        model_name=ModelName("m"),
        version=number,
        artifact=artifact,
        metrics=metrics,
        created_at=at,
        updated_at=at,
        created_by="me",
        **fields,
    )


def compared(first: dict[str, float], second: dict[str, float]) -> Comparison:
    return compare_versions(version(1, first), version(2, second), directions={})


METRICS = st.dictionaries(
    st.sampled_from(["accuracy", "loss", "foo", "f1"]), st.floats(-1e6, 1e6, allow_nan=False), max_size=4
)


@given(METRICS)
def test_a_version_does_not_differ_from_itself(metrics: dict[str, float]) -> None:
    found = compared(metrics, metrics)
    assert all(row.verdict is Verdict.SAME for row in found.metrics)
    assert found.changes == ()
    assert found.same_artifact
    assert regressions(found, [Tolerance()]) == ()


@given(METRICS, METRICS)
def test_every_metric_of_either_side_is_there_once(first: dict[str, float], second: dict[str, float]) -> None:
    assert sorted(row.name for row in compared(first, second).metrics) == sorted({*first, *second})


@given(METRICS, METRICS, st.decimals(0, 10, allow_nan=False, places=3))
def test_a_larger_tolerance_never_finds_more(first: dict[str, float], second: dict[str, float], more: Decimal) -> None:
    found = compared(first, second)
    strict = {one.metric.name for one in regressions(found, [Tolerance()])}
    loose = {one.metric.name for one in regressions(found, [Tolerance(amount=more)])}
    assert loose <= strict


def test_a_metric_that_one_side_lacks_is_a_regression() -> None:
    (found,) = regressions(compared({"accuracy": 0.9, "foo": 1}, {}), [Tolerance()])
    assert (found.metric.name, found.reason) == ("accuracy", "missing in the second")
    (found,) = regressions(compared({}, {"accuracy": 0.9}), [Tolerance()])
    assert found.reason == "missing in the first"


def test_a_loss_that_equals_the_tolerance_is_allowed() -> None:
    found = compared({"accuracy": 0.95}, {"accuracy": 0.94})
    assert regressions(found, [Tolerance.parse("accuracy:0.01")]) == ()
    assert len(regressions(found, [Tolerance.parse("accuracy:0.009")])) == 1
    assert regressions(found, [Tolerance.parse("accuracy:2%")]) == ()
    assert len(regressions(found, [Tolerance.parse("accuracy:1%")])) == 1


def test_a_metric_with_a_tolerance_of_its_own_is_judged_by_that_alone() -> None:
    found = compared({"accuracy": 0.95, "loss": 1.0}, {"accuracy": 0.90, "loss": 1.05})
    assert [one.metric.name for one in regressions(found, [Tolerance(), Tolerance.parse("accuracy:0.1")])] == ["loss"]


@pytest.mark.parametrize("text", ["accuracy:", "accuracy:x", "accuracy:-1", "accuracy:nan", "accuracy:inf", ":%"])
def test_what_is_no_tolerance_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Tolerance.parse(text)


def test_a_metric_that_neither_has_or_without_direction_can_not_be_asked_for() -> None:
    with pytest.raises(BadInput) as caught:
        regressions(compared({"accuracy": 1}, {}), [Tolerance(metric="acuracy")])
    assert caught.value.hint == "did you mean accuracy?"
    with pytest.raises(BadInput) as caught:
        regressions(compared({"foo": 1}, {"foo": 2}), [Tolerance(metric="foo")])
    assert caught.value.hint == "mreg edit m --direction foo=higher"


def test_the_source_of_an_environment_differs_only_if_both_versions_have_one() -> None:
    old = version(1, {}, source=Source(environment={"python": "3.11"}))
    new = version(2, {}, source=Source(environment={"python": "3.11", "source": "mreg"}))
    other = version(3, {}, source=Source(environment={"python": "3.11", "source": "VIRTUAL_ENV"}))
    assert compare_versions(old, new, directions={}).changes == ()
    assert [change.name for change in compare_versions(new, other, directions={}).changes] == ["source"]


def test_parameters_files_source_and_environment_that_differ_are_listed() -> None:
    first = version(1, {}, parameters={"lr": "1", "same": "x"}, source=Source(environment={"python": "3.11"}))
    second = version(2, {}, ONE, parameters={"lr": "2", "same": "x"}, source=Source(git_commit="a" * 40))
    found = compare_versions(
        first,
        second,
        directions={},
        first_files=[ManifestEntry("m.pkl", 1, ZERO), ManifestEntry("old", 1, ZERO)],
        second_files=[ManifestEntry("m.pkl", 1, ONE)],
    )
    assert [(change.group, change.name) for change in found.changes] == [
        ("parameters", "lr"),
        ("files", "m.pkl"),
        ("files", "old"),
        ("source", "git_commit"),
        ("environment", "python"),
    ]
    assert not found.same_artifact


MIRROR = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}


@given(METRICS, METRICS)
def test_a_comparison_the_other_way_says_the_opposite(first: dict[str, float], second: dict[str, float]) -> None:
    there = {row.name: row for row in compared(first, second).metrics}
    back = {row.name: row for row in compared(second, first).metrics}
    assert there.keys() == back.keys()
    for name, row in there.items():
        assert back[name].verdict is MIRROR.get(row.verdict, row.verdict)
        assert (back[name].first, back[name].second) == (row.second, row.first)
        assert back[name].direction is row.direction
        assert (row.delta is None) == (row.verdict is Verdict.MISSING)
        if row.delta is not None:
            assert back[name].delta == -row.delta


PLAIN = st.dictionaries(st.sampled_from(["lr", "epochs", "é", ""]), st.sampled_from(["1", "2", ""]))


@given(PLAIN, PLAIN)
def test_changes_the_other_way_are_the_same_with_sides_turned(first: dict[str, str], second: dict[str, str]) -> None:
    one, other = version(1, {}, parameters=first), version(2, {}, parameters=second)
    there = compare_versions(one, other, directions={}).changes
    back = compare_versions(other, one, directions={}).changes
    assert [(row.name, row.first, row.second) for row in there] == [(row.name, row.second, row.first) for row in back]
    assert {row.name for row in there} == {name for name in {*first, *second} if first.get(name) != second.get(name)}


def test_files_whose_digests_begin_alike_still_differ() -> None:
    other = Digest.sha256("0" * 63 + "1")
    found = compare_versions(
        version(1, {}),
        version(2, {}, other),
        directions={},
        first_files=[ManifestEntry("w", 1, ZERO)],
        second_files=[ManifestEntry("w", 1, other)],
    )
    assert [(one.name, one.first, one.second) for one in found.changes] == [
        ("w", f"{'0' * 64} 1 B", f"{'0' * 63}1 1 B")
    ]


def test_an_executable_bit_is_a_difference() -> None:
    found = compare_versions(
        version(1, {}),
        version(2, {}),
        directions={},
        first_files=[ManifestEntry("run", 1, ZERO)],
        second_files=[ManifestEntry("run", 1, ZERO, True), ManifestEntry("new", 2, ONE)],
    )
    assert [(one.group, one.name, one.first, one.second) for one in found.changes] == [
        ("files", "new", None, f"{'1' * 12} 2 B"),
        ("files", "run", f"{'0' * 12} 1 B", f"{'0' * 12} 1 B executable"),
    ]


@pytest.mark.parametrize(
    ("dirty", "other", "shown"),
    [(True, False, ("changed files", "clean")), (None, False, (None, "clean")), (True, None, ("changed files", None))],
)
def test_the_state_of_the_repository_is_a_difference(dirty: bool | None, other: bool | None, shown: object) -> None:
    found = compare_versions(
        version(1, {}, source=Source(git_dirty=dirty)), version(2, {}, source=Source(git_dirty=other)), directions={}
    )
    assert [(one.name, (one.first, one.second)) for one in found.changes] == [("git_state", shown)]


@given(st.integers(0, 10**6), st.integers(0, 6), st.sampled_from(["", "accuracy", "recall@5", "a:b"]), st.booleans())
def test_a_tolerance_is_what_its_text_says(digits: int, places: int, metric: str, relative: bool) -> None:
    amount = Decimal(digits).scaleb(-places)
    found = Tolerance.parse(f"{metric}:{amount:f}{'%' if relative else ''}")
    assert (found.metric, found.relative) == (metric, relative)
    assert found.amount == Decimal(repr(float(amount))) / (100 if relative else 1)


def test_a_tolerance_without_an_amount_is_none() -> None:
    assert Tolerance.parse("") == Tolerance()
    assert Tolerance.parse("accuracy") == Tolerance(metric="accuracy")


@given(st.text(max_size=20))
def test_any_text_is_a_tolerance_or_bad_input(text: str) -> None:
    try:
        assert Tolerance.parse(text).amount >= 0
    except BadInput as error:
        assert error.message.startswith("invalid tolerance ")
        assert error.hint == "write metric:0.01 or metric:5%, not negative"


NUMBERS = st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, NUMBERS, st.sampled_from(["accuracy", "loss"]), st.booleans())
def test_without_tolerance_what_is_not_worse_is_allowed(first: float, second: float, name: str, relative: bool) -> None:
    (row,) = compared({name: first}, {name: second}).metrics
    assert Tolerance(relative=relative).allows(row) == (row.verdict is not Verdict.WORSE)


@given(NUMBERS, NUMBERS, st.sampled_from(["accuracy", "loss"]))
def test_a_tolerance_of_the_very_loss_allows_it_and_nothing_less_does(first: float, second: float, name: str) -> None:
    (row,) = compared({name: first}, {name: second}).metrics
    if row.verdict is Verdict.WORSE:
        loss = exact_arithmetic().subtract(exact(first), exact(second)).copy_abs()
        assert Tolerance(amount=loss).allows(row)
        assert not Tolerance(amount=exact_arithmetic().multiply(loss, Decimal("0.999999"))).allows(row)


@given(st.integers(1, 10**6), st.integers(0, 300), st.integers(0, 300), st.sampled_from(["accuracy", "loss"]))
def test_a_relative_tolerance_is_of_the_first_values_size(size: int, loss: int, allowed: int, name: str) -> None:
    worse = size * (100 - loss) if name == "accuracy" else size * (100 + loss)
    (row,) = compared({name: size * 100}, {name: worse}).metrics
    assert Tolerance.parse(f"{name}:{allowed}%").allows(row) == (loss <= allowed)


def test_what_has_no_direction_or_lacks_a_side_never_passes() -> None:
    generous = Tolerance(amount=Decimal(10**9))
    rows = compared({"accuracy": 1, "foo": 1}, {"foo": 1, "loss": 1}).metrics
    assert [generous.allows(row) for row in rows] == [False, False, False]


@given(METRICS, METRICS)
def test_regressions_are_what_is_worse_or_missing_and_can_be_judged(
    first: dict[str, float], second: dict[str, float]
) -> None:
    found = compared(first, second)
    judged = {row.name for row in found.metrics if row.direction and row.verdict in (Verdict.WORSE, Verdict.MISSING)}
    assert {one.metric.name for one in regressions(found, [Tolerance()])} == judged
    assert regressions(found, []) == ()


def test_the_reasons_and_refusals_are_said_whole() -> None:
    found = compared({"accuracy": 0.9, "foo": 1}, {"accuracy": 0.8, "foo": 1})
    assert [one.reason for one in regressions(found, [Tolerance()])] == ["worse than the tolerance allows"]
    for text, message, hint in [
        ("acuracy", "neither version has the metric 'acuracy'", "did you mean accuracy?"),
        ("zzz", "neither version has the metric 'zzz'", "they have: accuracy, foo"),
        ("foo", "unknown direction of the metric 'foo'", "mreg edit m --direction foo=higher"),
    ]:
        with pytest.raises(BadInput) as caught:
            regressions(found, [Tolerance.parse(text)])
        assert (caught.value.message, caught.value.hint) == (message, hint)
    with pytest.raises(BadInput) as caught:
        regressions(compared({}, {}), [Tolerance.parse("accuracy")])
    assert caught.value.hint == "they have: no metrics"


LONG = "0." + "1" * (DIGITS_LIMIT - 2)
PARAMETERS = [
    ("1e-3", "0.001", True),
    ("1", "1.0", True),
    ("1", "2", False),
    ("-0", "0", True),
    ("True", "true", True),
    ("FALSE", "false", True),
    ("true", "false", False),
    ("None", "null", True),
    ("none", "NULL", True),
    ("null", "", False),
    ("Adam", "adam", False),
    ("1", "true", False),
    ("1 ", "1", False),
    (LONG, LONG + "0", False),  # too long to be read as a number
    ("0.10", "0.1" + "0" * (DIGITS_LIMIT - 3), True),
    ("1e" + "9" * 30, "1e" + "9" * 29, False),
]


@pytest.mark.parametrize(("first", "second", "same"), PARAMETERS)
def test_parameters_are_compared_by_their_values(first: str, second: str, same: bool) -> None:
    one, other = version(1, {}, parameters={"p": first}), version(2, {}, parameters={"p": second})
    for left, right in ((one, other), (other, one)):
        changes = compare_versions(left, right, directions={}).changes
        assert [(row.group, row.name) for row in changes] == ([] if same else [("parameters", "p")])


def test_a_parameter_that_one_version_lacks_is_a_difference_even_to_null() -> None:
    one, other = version(1, {}, parameters={"p": "null"}), version(2, {})
    assert [(row.first, row.second) for row in compare_versions(one, other, directions={}).changes] == [("null", None)]
    assert [(row.first, row.second) for row in compare_versions(other, one, directions={}).changes] == [(None, "null")]


def test_an_empty_folder_is_a_file_of_the_comparison() -> None:
    found = compare_versions(
        version(1, {}), version(2, {}), directions={}, first_files=["logs/", "same/"], second_files=["same/"]
    )
    assert [(row.name, row.first, row.second) for row in found.changes] == [("logs/", "empty folder", None)]


def test_a_comparison_and_its_metrics_are_shown_in_one_line() -> None:
    found = compared({"accuracy": 0.9, "loss": 1.0, "foo": 1}, {"accuracy": 0.8, "loss": 2.0, "foo": 1})
    assert repr(found) == "<Comparison m@1 m@2 1 same, 2 worse>"
    assert repr(found.metrics[0]) == "<MetricDifference accuracy 0.9 -> 0.8 worse>"


def references(found: Comparison) -> tuple[str, str]:
    return str(found.first.reference), str(found.second.reference)


def test_one_reference_is_compared_with_production_of_its_model(registry: LocalRegistry) -> None:
    Path("file").write_text("1")
    for name in ("m", "team/m"):
        for _ in range(3):
            registry.push("file", name=name)
        registry.promote(f"{name}@1", "production")
    for reference, expected in (
        ("m", ("m@1", "m@3")),
        ("m@2", ("m@1", "m@2")),
        ("m/2", ("m@1", "m@2")),  # there is no model m/2
        ("team/m", ("team/m@1", "team/m@3")),
        ("team/m/2", ("team/m@1", "team/m@2")),
    ):
        assert references(registry.compare(reference)) == expected
    known = registry.version("team/m@2")
    registry.rename("team/m", "team/renamed")
    assert references(registry.compare(known)) == ("team/renamed@1", "team/renamed@2")


def test_a_version_is_not_compared_with_itself_unnoticed(registry: LocalRegistry) -> None:
    Path("file").write_text("1")
    registry.push("file", name="m", stage="production")
    registry.push("file", name="m")
    notes: list[str] = []
    telling = registry.acting_as("ada", notes.append)
    telling.compare("m@1", "m@2")
    assert notes == []
    telling.compare("m@latest", "m@production")
    assert notes == ["m@latest is m@2", "m@production is m@1"]
    notes.clear()
    telling.compare("m@1")
    assert notes == ["m@production is m@1", "nothing to compare: both references are m@1"]


def test_the_files_of_two_versions_are_compared(registry: LocalRegistry) -> None:
    Path("net/logs").mkdir(parents=True)
    Path("net/a").write_text("1")
    Path("net/same").write_text("same")
    registry.push("net", name="m")
    Path("net/a").write_text("22")
    Path("net/logs").rmdir()
    registry.push("net", name="m")
    registry.push("net/a", name="m")

    def files(first: str, second: str) -> list[tuple[str, bool, bool]]:
        changes = registry.compare(first, second).changes
        return [(row.name, row.first is None, row.second is None) for row in changes if row.group == "files"]

    assert files("m@1", "m@2") == [("a", False, False), ("logs/", False, True)]
    assert files("m@2", "m@3") == [("same", False, True)]
    assert files("m@2", "m@2") == []
    assert [registry.compare("m@1", second).same_artifact for second in ("m@1", "m@2", "m@3")] == [True, False, False]


def test_the_directions_of_the_first_of_two_models_count(registry: LocalRegistry) -> None:
    Path("file").write_text("1")
    for name, directions in (("m", {"a": "lower", "b": "lower"}), ("n", {"a": "higher", "c": "higher"})):
        registry.push("file", name=name, metrics={"a": 1 if name == "m" else 2, "b": 1, "c": 1})
        registry.edit(name, directions=directions)
    for first, second, verdict in (("m@1", "n@1", Verdict.WORSE), ("n@1", "m@1", Verdict.WORSE)):
        (row,) = [row for row in registry.compare(first, second).metrics if row.name == "a"]
        assert row.verdict is verdict
