"""Tables of evaluations."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Rendering, one_line
from mreg.cli.views import View
from mreg.domain.policy import Decision
from mreg.results.evaluations import Evaluation

METRICS_LIMIT = 10
"""Maximum number of metrics in the sentence; the row has all."""


def _evaluation(evaluation: Evaluation) -> Rendering:
    version = evaluation.version
    replaced = [f"{name} {version.metrics.get(name)} (was {old})" for name, old in evaluation.replaced.items()]
    changes = replaced + [f"{name} {value} (new)" for name, value in evaluation.added.items()]
    more = [f"{len(changes) - METRICS_LIMIT} more"] if len(changes) > METRICS_LIMIT else []
    sentence = f"{version.reference}: {', '.join(changes[:METRICS_LIMIT] + more) or 'no changes'}"
    if evaluation.voided:
        sentence += f"; {_void(evaluation.voided)}, because metrics were replaced"
    return one_line(
        ("reference", "added", "replaced", "dataset", "void approvals"),
        (
            str(version.reference),
            ", ".join(f"{name}={value}" for name, value in evaluation.added.items()),
            ", ".join(f"{name}={old} to {version.metrics.get(name)}" for name, old in evaluation.replaced.items()),
            evaluation.dataset,
            ", ".join(f"{decision.person} for {decision.target}" for decision in evaluation.voided),
        ),
        sentence,
    )


def _void(voided: Sequence[Decision]) -> str:
    """Return a sentence such as ``approvals of ada and bob for Production are void``."""
    people: dict[str, list[str]] = {}
    for decision in voided:
        people.setdefault(decision.target, []).append(decision.person)
    parts = [f"of {_listed(persons)} for {target}" for target, persons in people.items()]
    subject, verb = ("the approval", "is") if len(voided) == 1 else ("approvals", "are")
    return f"{subject} {_listed(parts)} {verb} void"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


VIEWS = (View(Evaluation, render=_evaluation, references=lambda evaluation: [str(evaluation.version.reference)]),)
