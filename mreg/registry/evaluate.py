"""Add metrics to a version after its push."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as changed
from typing import TYPE_CHECKING

from mreg.documents.metrics import finite_metrics
from mreg.domain.metrics import MetricValue, exact
from mreg.domain.text import ENTRIES_LIMIT, check_line, check_text
from mreg.errors import BadInput, Conflict
from mreg.registry.references import as_reference, find_selected, version_now
from mreg.registry.registry import Reference
from mreg.results.evaluations import Evaluation

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.model import ModelVersion
    from mreg.domain.policy import Decision
    from mreg.registry.session import Session

NAMED = 5
"""Number of metrics that a conflict names."""


def evaluate(
    session: Session,
    reference: Reference,
    metrics: Mapping[str, object],
    *,
    dataset: str = "",
    replace: bool = False,
    reason: str = "",
) -> Evaluation:
    """See `mreg.Registry.evaluate`."""
    wanted = as_reference(reference)
    given = finite_metrics(metrics)
    if replace and not reason.strip():
        raise BadInput("to replace a metric, a reason is required", hint='add --reason "..."')
    check_text("reason", reason)
    if dataset:
        check_line("dataset", dataset)

    def change(writer: Writer) -> Evaluation:
        version = find_selected(writer, wanted)
        if not given:
            raise BadInput("no metrics to add", hint=f"mreg evaluate {wanted} --metric accuracy=0.95")
        added, replaced = _differences(version, given)
        if replaced and not replace:
            raise _conflict(version, replaced)
        voided: tuple[Decision, ...] = ()
        if added or replaced:
            new = {name: given[name] for name in (*added, *replaced)}
            version, voided = writer.set_metrics(version, new, dataset=dataset, reason=reason)
        return Evaluation(version=version, added=added, replaced=replaced, voided=voided, dataset=dataset)

    return session.write(change, _after_hooks)


def _after_hooks(reader: Reader, evaluation: Evaluation) -> Evaluation:
    return changed(evaluation, version=version_now(reader, evaluation.version))


def _differences(
    version: ModelVersion, given: Mapping[str, MetricValue]
) -> tuple[dict[str, MetricValue], dict[str, MetricValue]]:
    """Return the metrics that a version lacks, and its values of metrics that are given with another value.

    Raises:
        BadInput: The version would have more than `ENTRIES_LIMIT` metrics.
    """
    present = version.metrics
    added = {name: value for name, value in given.items() if name not in present}
    total = len(present) + len(added)
    if total > ENTRIES_LIMIT:
        raise BadInput(f"too many metrics: {version.reference} would have {total}; the limit is {ENTRIES_LIMIT}")
    replaced = {
        name: present[name] for name, value in given.items() if name in present and exact(present[name]) != exact(value)
    }
    return added, replaced


def _conflict(version: ModelVersion, replaced: Mapping[str, MetricValue]) -> Conflict:
    listed = ", ".join(f"{name} {value}" for name, value in list(replaced.items())[:NAMED])
    more = f" and {len(replaced) - NAMED} more" if len(replaced) > NAMED else ""
    pronoun = "it" if len(replaced) == 1 else "them"
    return Conflict(
        f"{version.reference} already has {listed}{more}",
        hint=f'to replace {pronoun}, add --replace and --reason "..."',
        metrics=dict(replaced),
    )
