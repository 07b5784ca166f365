from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.comparison import Comparison, Tolerance, compare, regressions
from mreg.domain.digest import Digest
from mreg.domain.manifest import ManifestEntry
from mreg.domain.metrics import Verdict
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelVersion, Source
from mreg.domain.names import ModelName
from mreg.errors import BadInput

ZERO = Digest.sha256("0" * 64)
ONE = Digest.sha256("1" * 64)


def version(number: int, metrics: dict[str, float], digest: Digest = ZERO, **fields: object) -> ModelVersion:
    artifact = ModelArtifact(kind=ArtifactKind.FILE, name="m.pkl", path="file:///m", size_bytes=1, digest=digest)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return ModelVersion(
        model_name=ModelName("m"), version=number, artifact=artifact, metrics=metrics, created_at=at, updated_at=at,
        created_by="me", **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def compared(first: dict[str, float], second: dict[str, float]) -> Comparison:
    return compare(version(1, first), version(2, second), directions={})


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


def test_parameters_files_source_and_environment_that_differ_are_listed() -> None:
    first = version(1, {}, parameters={"lr": "1", "same": "x"}, source=Source(environment={"python": "3.11"}))
    second = version(2, {}, ONE, parameters={"lr": "2", "same": "x"}, source=Source(git_commit="a" * 40))
    found = compare(
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
