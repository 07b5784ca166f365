"""The JSON of evaluations."""

from __future__ import annotations

from typing import Annotated

from mreg.results import evaluations as results
from mreg.wire import Form, Number
from mreg.wire.models import ModelVersion, decode_version, encode_version
from mreg.wire.policies import Decision, decode_decision, encode_decision


class Evaluation(ModelVersion):
    """A version after metrics were added to it."""

    added: Annotated[dict[str, Number], "new metrics by name"]
    replaced: Annotated[dict[str, Number], "previous values of the replaced metrics, by name"]
    voided: Annotated[list[Decision], "approvals that the replacement voided: see Decision"]
    dataset: Annotated[str | None, "name of the data set, or null"]


def _encode(evaluation: results.Evaluation) -> Evaluation:
    return {
        **encode_version(evaluation.version),
        "added": dict(evaluation.added),
        "replaced": dict(evaluation.replaced),
        "voided": [encode_decision(decision) for decision in evaluation.voided],
        "dataset": evaluation.dataset or None,
    }


def _decode(shape: Evaluation) -> results.Evaluation:
    return results.Evaluation(
        version=decode_version(shape),
        added=shape["added"],
        replaced=shape["replaced"],
        voided=tuple(map(decode_decision, shape["voided"])),
        dataset=shape["dataset"] or "",
    )


FORMS = (Form(results.Evaluation, Evaluation, _encode, _decode),)
