"""Metrics from files of training tools, forms and Python.

A value that cannot be a metric is skipped with a note: a text, a boolean, null, a list, NaN or an infinity. These
formats are recognized:

- ``trainer_state.json`` of the Hugging Face Trainer: the last value that ``log_history`` has of each key
- ``classification_report(output_dict=True)`` of scikit-learn: everything but ``support``, the number of samples
- the JSON report of pytest-benchmark: ``<test>.mean``, ``<test>.median`` … of each test
- CSV, such as Lightning's ``metrics.csv``: the last value of each column
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mreg.documents import Rules, at, check_count, read_bytes, read_document, text_in
from mreg.documents.flat import leaves, node_of
from mreg.documents.node import Node, Scalar
from mreg.domain.metrics import MetricValue, known_metric, parse_metric
from mreg.domain.text import check_key, quoted
from mreg.errors import BadInput

SIZE_LIMIT = 16 << 20
"""Maximum size of a JSON or CSV file of metrics in bytes; the history of a long training has megabytes."""

RULES = Rules(size=SIZE_LIMIT, nodes=400_000, anchors=True, constants=True)

NAMED = 40
"""Number of skipped keys that a note names."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The metrics of a document.

    Attributes:
        metrics: Number by name.
        notes: Sentences for the user: the values that were skipped, the texts that were read as numbers, and whether a
            file has no metrics.
    """

    metrics: dict[str, MetricValue]
    notes: tuple[str, ...] = ()


def read_metrics(path: str | os.PathLike[str], prefix: str = "") -> Measured:
    """Read the metrics of a file: CSV if its name ends in ``.csv``, JSON if in ``.json``, otherwise YAML.

    Args:
        prefix: Text before each name, such as ``val.``.

    Raises:
        NotFound, Unavailable: The file does not exist or cannot be read.
        BadInput: The file is not valid CSV, JSON or YAML or too large, or a name cannot be stored.
    """
    if os.fspath(path).lower().endswith(".csv"):
        from mreg.documents.from_csv import last_values

        data = read_bytes(os.fspath(path), "metrics file", SIZE_LIMIT)
        text = text_in(data, os.fspath(path), what="metrics file", limit=SIZE_LIMIT)
        measured = _measured(last_values(text, os.fspath(path)).items(), path, prefix)
    else:
        measured = metrics_in(read_document(path, what="metrics file", rules=RULES), path, prefix)
    if measured == Measured({}):
        return Measured({}, (f"{quoted(os.fspath(path))} has no metrics",))
    return measured


def metrics_of(values: Mapping[str, object]) -> Measured:
    """Return the metrics of a mapping of Python values, as of a file with the same values.

    Raises:
        BadInput: A name cannot be stored, or there are too many.
    """
    return metrics_in(node_of(values, "metrics"), "metrics")


def finite_metrics(values: Mapping[str, object], *, above: int = 1) -> dict[str, MetricValue]:
    """Return the metrics of `metrics_of`; a `UserWarning` has each note.

    Args:
        above: Number of calls above the caller of this function that the warnings name as their place.

    Raises:
        BadInput: A name cannot be stored, or there are too many.
    """
    import warnings

    measured = metrics_of(values)
    for note in measured.notes:
        warnings.warn(note, stacklevel=2 + above)
    return measured.metrics


def metrics_in(node: Node, place: str | os.PathLike[str], prefix: str = "") -> Measured:
    """Return the metrics of a parsed document; nested keys are joined by dots.

    Args:
        place: Name of the document in messages.
        prefix: Text before each name.

    Raises:
        BadInput: The document is not a mapping, or a name cannot be stored.
    """
    if not isinstance(node.value, dict):
        raise BadInput(f"{at(place, node)}: metrics must be a mapping of names to values")
    values = _benchmarks(node.value) or _trainer(node.value) or _report(node.value) or leaves(node.value)
    return _measured(values, place, prefix)


def _measured(values: Iterable[tuple[str, Node]], place: str | os.PathLike[str], prefix: str) -> Measured:
    metrics: dict[str, MetricValue] = {}
    skipped: list[str] = []
    quoted_numbers: list[str] = []
    for key, value in values:
        number = _number(value)
        if number is None:
            skipped.append(key)
            continue
        try:
            name = check_key("metric", known_metric(f"{prefix}{key}"))
        except BadInput as error:
            raise BadInput(f"{at(place, value)}: {error.message}", hint=error.hint) from None
        if name in metrics:
            raise BadInput(f"{at(place, value)}: duplicate metric {quoted(name)}")
        metrics[name] = number
        if isinstance(value.value, Scalar) and value.value.kind == "string":
            quoted_numbers.append(name)
    check_count(len(metrics), "metrics", place)
    notes = []
    if skipped:
        notes.append(f"{quoted(os.fspath(place))}: skipped values that are not finite numbers: {_listed(skipped)}")
    if quoted_numbers:
        notes.append(f"{quoted(os.fspath(place))}: read quoted numbers as numbers: {_listed(quoted_numbers)}")
    return Measured(metrics, tuple(notes))


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - NAMED:,} more" if len(keys) > NAMED else ""
    return ", ".join(quoted(key)[1:-1] for key in keys[:NAMED]) + more


def _number(node: Node) -> MetricValue | None:
    if not isinstance(node.value, Scalar) or node.value.kind not in ("number", "string"):
        return None
    try:
        return parse_metric("value", node.value.text.strip())
    except BadInput:
        return None


def _trainer(nodes: Mapping[str, Node]) -> list[tuple[str, Node]]:
    """Return the values of a Trainer's state, those of ``log_history`` first; empty if this is another document.

    Source: ``TrainerState`` in transformers' ``trainer_callback.py``.
    """
    history = nodes.get("log_history")
    if history is None or not isinstance(history.value, list) or "global_step" not in nodes:
        return []
    values: dict[str, Node] = {}
    for entry in history.value:
        if isinstance(entry.value, dict):
            values |= dict(leaves(entry.value))
    rest = {key: value for key, value in nodes.items() if key != "log_history"}
    return list((dict(leaves(rest)) | values).items())


REPORT = {"precision", "recall", "f1-score", "support"}


def _report(nodes: Mapping[str, Node]) -> list[tuple[str, Node]]:
    """Return the values of a classification report without ``support``; empty if this is another document.

    Source: ``sklearn.metrics.classification_report``.
    """
    rows = [node.value for node in nodes.values() if isinstance(node.value, dict)]
    if not rows or any(set(row) != REPORT for row in rows):
        return []
    return [(key, value) for key, value in leaves(nodes) if not key.endswith(".support")]


def _benchmarks(nodes: Mapping[str, Node]) -> list[tuple[str, Node]]:
    """Return the statistics of a report of pytest-benchmark; empty if this is another document.

    Source: "Comparing past runs" in the documentation of pytest-benchmark.
    """
    if "machine_info" not in nodes or not isinstance(tests := nodes.get("benchmarks", Node([], 0)).value, list):
        return []
    return [entry for test in tests for entry in _statistics(test)]


def _statistics(test: Node) -> Iterator[tuple[str, Node]]:
    if not isinstance(test.value, dict):
        return
    name, statistics = test.value.get("name"), test.value.get("stats")
    if (
        name is None
        or statistics is None
        or not isinstance(name.value, Scalar)
        or not isinstance(statistics.value, dict)
    ):
        return
    # A parametrized name such as test_fit[n=10] is not a valid name of a metric.
    yield from leaves(statistics.value, f"{name.value.text.replace('=', ':')}.")
