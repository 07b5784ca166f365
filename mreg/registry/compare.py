"""Compare two versions with their files, and find regressions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from mreg.domain.manifest import ManifestEntry
from mreg.domain.metrics import (
    DIGITS_LIMIT,
    NUMBER,
    Direction,
    MetricValue,
    Verdict,
    difference,
    exact,
    exact_arithmetic,
    parse_metric,
    percent,
)
from mreg.domain.metrics import direction as direction_of
from mreg.domain.metrics import verdict as verdict_of
from mreg.domain.model import UNKNOWN_FORMAT, ArtifactKind, ModelVersion
from mreg.domain.names import Selector, SelectorKind, VersionRef
from mreg.domain.text import nearest, quoted
from mreg.errors import BadInput
from mreg.registry.references import as_reference, find, find_model, find_with_note
from mreg.registry.session import Session
from mreg.results.comparison import Change, Comparison, MetricDifference, Regression

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader


def compare(session: Session, first: VersionRef | str, second: VersionRef | str | None = None) -> Comparison:
    """See `mreg.Registry.compare`."""
    left_ref = as_reference(first)
    right_ref = as_reference(second) if second is not None else left_ref
    if second is None:
        split = right_ref.split_last_part() if right_ref.selector is None else None
        name = session.catalog.read(lambda reader: find(reader, right_ref))[0].name if split else right_ref.name
        left_ref = VersionRef(name, Selector(SelectorKind.STAGE, "production"))

    def both(reader: Reader) -> tuple[ModelVersion, ModelVersion, dict[str, str], tuple[str, str]]:
        (left, first_note), (right, second_note) = find_with_note(reader, left_ref), find_with_note(reader, right_ref)
        # If two models disagree on a direction, the first model's counts.
        directions = {
            **find_model(reader, right.model_name).directions,
            **find_model(reader, left.model_name).directions,
        }
        return left, right, directions, (first_note, second_note)

    left, right, directions, notes = session.catalog.read(both)
    for note in filter(None, notes):
        session.notice(note)
    if left.version_id == right.version_id:
        session.notice(f"nothing to compare: both references are {left.reference}")
    same = left.artifact.digest == right.artifact.digest and left.artifact.kind is right.artifact.kind
    return compare_versions(
        left,
        right,
        directions=directions,
        first_files=() if same else _files(session, left),
        second_files=() if same else _files(session, right),
    )


def _files(session: Session, version: ModelVersion) -> tuple[ManifestEntry | str, ...]:
    artifact = version.artifact
    if artifact.kind is ArtifactKind.FILE:
        return (ManifestEntry(artifact.name, artifact.size_bytes, artifact.digest),)
    manifest = session.artifacts().manifest(artifact.digest)
    return (*manifest.entries, *(f"{folder}/" for folder in manifest.folders))


def compare_versions(
    first: ModelVersion,
    second: ModelVersion,
    *,
    directions: Mapping[str, str],
    first_files: Iterable[ManifestEntry | str] = (),
    second_files: Iterable[ManifestEntry | str] = (),
) -> Comparison:
    """Compare two versions, of one model or of two.

    Args:
        directions: Directions by metric name, as declared by the models.
        first_files: Files of the first version, the same for ``second_files``; a version that is a file has one entry.
            An empty folder is a path that ends in ``/``.
    """
    names = [*first.metrics, *(name for name in second.metrics if name not in first.metrics)]
    return Comparison(
        first=first,
        second=second,
        metrics=tuple(_metric(name, first.metrics.get(name), second.metrics.get(name), directions) for name in names),
        changes=(
            *_changes("parameters", first.parameters, second.parameters, equal=_equal_parameters),
            *_changes("data", first.data, second.data),
            *_file_changes(first_files, second_files),
            *_changes("source", _source(first), _source(second)),
            *_changes("environment", *_environments(first, second)),
        ),
        same_artifact=(first.artifact.kind, first.artifact.digest) == (second.artifact.kind, second.artifact.digest),
    )


def _metric(
    name: str, first: MetricValue | None, second: MetricValue | None, directions: Mapping[str, str]
) -> MetricDifference:
    direction = direction_of(name, directions)
    delta, in_percent = None, None
    if first is not None and second is not None:
        delta, in_percent = difference(first, second), percent(first, second)
    return MetricDifference(
        name=name,
        first=first,
        second=second,
        delta=delta,
        percent=in_percent,
        direction=direction,
        verdict=verdict_of(first, second, direction),
    )


def _changes(
    group: str,
    first: Mapping[str, str],
    second: Mapping[str, str],
    *,
    equal: Callable[[str | None, str | None], bool] = operator.eq,
) -> Iterable[Change]:
    for name in sorted({*first, *second}):
        if not equal(first.get(name), second.get(name)):
            yield Change(group=group, name=name, first=first.get(name), second=second.get(name))


def _equal_parameters(first: str | None, second: str | None) -> bool:
    """Return whether two parameters are the same value: ``1e-3`` and ``0.001``, or ``True`` and ``true``."""
    if first == second or first is None or second is None:
        return first == second
    return _value(first) == _value(second)


def _value(text: str) -> object:
    """Return the number, boolean or null of a parameter's text; the text if it is another value."""
    if len(text) <= DIGITS_LIMIT and NUMBER.fullmatch(text):
        try:
            return Decimal(text)
        except ArithmeticError:  # an exponent of more than 18 digits
            return text
    word = text.lower()
    return "null" if word == "none" else word if word in ("true", "false", "null") else text


def _file_changes(first: Iterable[ManifestEntry | str], second: Iterable[ManifestEntry | str]) -> Iterable[Change]:
    before, after = {_path(entry): entry for entry in first}, {_path(entry): entry for entry in second}
    for path in sorted({*before, *after}):
        sides = before.get(path), after.get(path)
        if sides[0] != sides[1]:
            old, new = (_file(entry, 12) for entry in sides)
            if old == new:  # an attacker can make 12 digits of two digests equal, but not all 64
                old, new = (_file(entry, 64) for entry in sides)
            yield Change(group="files", name=path, first=old, second=new)


def _path(entry: ManifestEntry | str) -> str:
    return entry if isinstance(entry, str) else entry.path


def _file(entry: ManifestEntry | str | None, digits: int) -> str | None:
    if entry is None:
        return None
    if isinstance(entry, str):
        return "empty folder"
    return f"{entry.digest.value[:digits]} {entry.size} B{' executable' if entry.executable else ''}"


def _environments(first: ModelVersion, second: ModelVersion) -> Iterable[Mapping[str, str]]:
    """Return both environments; without ``source``, which older versions lack, unless both have it."""
    both = (first.source.environment, second.source.environment)
    if all("source" in environment for environment in both):
        return both
    return [{name: value for name, value in environment.items() if name != "source"} for environment in both]


def _source(version: ModelVersion) -> Mapping[str, str]:
    source = version.source
    dirty = "" if source.git_dirty is None else ("changed files" if source.git_dirty else "clean")
    found = {
        "git_commit": source.git_commit,
        "git_branch": source.git_branch,
        "git_remote": source.git_remote,
        "git_state": dirty,
        "run_id": version.run_id,
        "experiment_id": version.experiment_id,
        "format": "" if version.artifact.format == UNKNOWN_FORMAT else version.artifact.format,
    }
    return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How much worse a metric can become: ``accuracy:0.01`` (absolute), ``latency_ms:5%`` (relative).

    Attributes:
        metric: Name of the metric, empty for every metric with a direction.
        amount: Largest allowed difference, never negative.
        relative: Whether the amount is a fraction of the absolute first value.
    """

    metric: str = ""
    amount: Decimal = Decimal(0)
    relative: bool = False

    @classmethod
    def parse(cls, text: str) -> Tolerance:
        """Parse ``accuracy``, ``accuracy:0.01``, ``latency_ms:5%``, ``:0.01`` or an empty text.

        Raises:
            BadInput: The part after the last colon is not a number from 0 up, with or without ``%``.
        """
        metric, colon, amount = text.rpartition(":") if ":" in text else (text, "", "")
        if not colon:
            return cls(metric=metric)
        relative = amount.endswith("%")
        try:
            value = exact(parse_metric(metric or "tolerance", amount.removesuffix("%")))
            if value < 0:
                raise BadInput("negative")
        except BadInput:
            raise BadInput(
                f"invalid tolerance {quoted(amount)}", hint="write metric:0.01 or metric:5%, not negative"
            ) from None
        return cls(metric=metric, amount=exact_arithmetic().scaleb(value, -2) if relative else value, relative=relative)

    def allows(self, row: MetricDifference) -> bool:
        """Return whether the second value is within the tolerance; False if a value or the direction is missing."""
        if row.first is None or row.second is None or row.direction is None:
            return False
        first, second = exact(row.first), exact(row.second)
        if row.direction is Direction.LOWER:
            first, second = second, first
        allowed = self.amount
        if self.relative:
            allowed = exact_arithmetic().multiply(self.amount, exact(row.first).copy_abs())
        return exact_arithmetic().subtract(first, second) <= allowed


def regressions(comparison: Comparison, tolerances: Iterable[Tolerance]) -> tuple[Regression, ...]:
    """Return the metrics that fail their tolerance.

    A tolerance without a metric applies to every metric with a known direction and without its own tolerance. A metric
    that one version lacks fails.

    Raises:
        BadInput: A named metric has no known direction, or neither version has it.
    """
    rules = tuple(tolerances)
    named = {rule.metric: rule for rule in rules if rule.metric}
    general = next((rule for rule in rules if not rule.metric), None)
    rows = {row.name: row for row in comparison.metrics}
    for name in named:
        if name not in rows:
            near = nearest(name, rows, 1)
            raise BadInput(
                f"neither version has the metric {quoted(name)}",
                hint=f"did you mean {near[0]}?" if near else f"they have: {', '.join(rows) or 'no metrics'}",
            )
        if rows[name].direction is None:
            raise BadInput(
                f"unknown direction of the metric {quoted(name)}",
                hint=f"mreg edit {comparison.first.model_name} --direction {name}=higher",
            )
    found = []
    for row in comparison.metrics:
        rule = named.get(row.name, general)
        if rule and (row.direction or row.name in named) and not rule.allows(row):
            found.append(Regression(metric=row, reason=_reason(row)))
    return tuple(found)


def _reason(row: MetricDifference) -> str:
    if row.verdict is Verdict.MISSING:
        return "missing in the first" if row.first is None else "missing in the second"
    return "worse than the tolerance allows"
