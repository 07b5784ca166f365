"""Metrics: which numbers are accepted, which way is better, and what a difference means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from itertools import pairwise

from mreg.domain.text import quoted
from mreg.errors import BadInput

MetricValue = int | float

WELL_KNOWN = ("accuracy", "f1_score", "precision", "recall", "latency_ms")
"""Metrics with flags of their own; also the order in which a primary metric is looked for."""

DIGITS_LIMIT = 40
"""Characters of a number's text; no measured value needs more, and a longer one is a mistake or an attack."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


class Direction(Enum):
    """Which way a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"

    @classmethod
    def parse(cls, text: str) -> Direction:
        """The direction of that name, in any case.

        Raises:
            BadInput: It is neither higher nor lower.
        """
        for direction in cls:
            if direction.value == text.lower():
                return direction
        raise BadInput(f"{quoted(text)} is no direction", hint="write higher or lower")


class Verdict(Enum):
    """What the second of two values of a metric is, seen from the first."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = "unknown"
    """They differ and nothing says which way is better."""
    MISSING = "missing"
    """One side lacks the metric; never a pass."""


def check_metric(name: str, value: object) -> MetricValue:
    """The value itself, if a metric may have it: a finite int or float (or what numpy has for one).

    Raises:
        BadInput: It is no number, a truth value, NaN, infinite, or an integer too large for a 64-bit float.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        item = getattr(value, "item", None)  # numpy's and torch's scalars
        value = item() if callable(item) and getattr(value, "ndim", None) == 0 else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _bad_metric(name, quoted(str(value)))
    try:
        finite = abs(float(value)) < float("inf")
    except OverflowError:
        finite = False
    if not finite:
        raise _bad_metric(name, str(value) if isinstance(value, float) else "an integer beyond the range of a float")
    # A subclass (numpy.float64 is one) would come back as another type than was given.
    return int(value) if isinstance(value, int) else float(value)


def parse_metric(name: str, text: str) -> MetricValue:
    """The number that a text such as ``0.95``, ``-1``, ``1e-300`` means; whole numbers stay exact integers.

    Raises:
        BadInput: The text is no decimal number, is longer than `DIGITS_LIMIT`, or is outside a 64-bit float's range.
    """
    if len(text) > DIGITS_LIMIT or not _NUMBER.fullmatch(text):
        raise _bad_metric(name, quoted(text))
    if _INTEGER.fullmatch(text) and Decimal(text) != 0:
        return check_metric(name, int(text))
    value = float(text)
    if value == 0 and Decimal(text) != 0:
        raise _bad_metric(name, f"{quoted(text)}, which is too small for a 64-bit float")
    if _INTEGER.fullmatch(text) and not text.startswith("-"):
        return 0
    return check_metric(name, value)


def _bad_metric(name: str, what: str) -> BadInput:
    return BadInput(
        f"the metric {quoted(name)} can't be {what}",
        hint=f"give a finite decimal number: --metric {name if name.isprintable() and len(name) < 40 else 'name'}=0.95",
    )


_HIGHER = frozenset(
    "accuracy acc f1 f2 fbeta precision recall auc auroc auprc roc ap map mrr ndcg r2 bleu sacrebleu rouge rouge1 rouge2 "
    "rougel rougelsum meteor chrf iou miou dice jaccard kappa mcc corrcoef sensitivity specificity psnr ssim throughput "
    "hit hits silhouette correlation pearson pearsonr spearman spearmanr top1 top5".split()
)
_LOWER = frozenset(
    "loss error err mae mse rmse msle rmsle mape smape mase perplexity ppl wer cer ter latency time duration fid brier "
    "ece hinge nll crossentropy cost hamming eer bpb bpc ms seconds fpr fnr".split()
)
_LOWER_PHRASES = (("false", "positive"), ("false", "negative"), ("cross", "entropy"), ("miss", "rate"))
_HIGHER_PHRASES = (("true", "positive"), ("true", "negative"), ("average", "precision"))


def direction(name: str, own: Mapping[str, str] | None = None) -> Direction | None:
    """Which way the metric is better: the model's own word first, else what its name says, else None.

    A name is read by its words (``val_loss``, ``test/f1-macro``, ``rougeL``, ``p95_latency_ms``); a word of a cost
    (loss, error, latency ...) decides before a word of a merit (``accuracy_loss`` is a loss).
    """
    if own and name in own:
        return Direction.parse(own[name])
    words = [word.lower() for word in re.findall(r"[A-Z]*[a-z]*[0-9]*", name) if word]
    words += [word.rstrip("0123456789") for word in words]
    whole = re.sub(r"[^a-z0-9]", "", name.lower())
    pairs = set(pairwise(words))
    if pairs.intersection(_LOWER_PHRASES):
        return Direction.LOWER
    if pairs.intersection(_HIGHER_PHRASES):
        return Direction.HIGHER
    if _LOWER.intersection(words) or whole in _LOWER:
        return Direction.LOWER
    if _HIGHER.intersection(words) or whole in _HIGHER:
        return Direction.HIGHER
    return None


def exact(value: MetricValue) -> Decimal:
    """The value as the decimal number that was written, so that 0.95 - 0.94 is 0.01 and not 0.010000000000000009."""
    return Decimal(repr(value))


def difference(first: MetricValue, second: MetricValue) -> MetricValue | None:
    """``second - first`` in decimal arithmetic; None where no 64-bit float can hold it."""
    if isinstance(first, int) and isinstance(second, int):
        return second - first
    delta = float(exact(second) - exact(first))
    return delta if abs(delta) < float("inf") else None


def percent(first: MetricValue, second: MetricValue) -> float | None:
    """The change in percent of the first value's size; None where the first is 0 or the result is out of range."""
    if first == 0:
        return None
    ratio = float((exact(second) - exact(first)) / abs(exact(first)) * 100)
    return ratio if abs(ratio) < float("inf") else None


def verdict(first: MetricValue | None, second: MetricValue | None, way: Direction | None) -> Verdict:
    """What the second value is, seen from the first."""
    if first is None or second is None:
        return Verdict.MISSING
    if first == second:
        return Verdict.SAME
    if way is None:
        return Verdict.UNKNOWN
    return Verdict.BETTER if (second > first) == (way is Direction.HIGHER) else Verdict.WORSE


def primary_metric(chosen: str, present: Mapping[str, MetricValue]) -> str:
    """The metric that speaks for a version: the model's own choice, else the first well-known one, else the first.

    Empty where there is none; the model's own choice is returned even where this version lacks it.
    """
    if chosen:
        return chosen
    return next((name for name in WELL_KNOWN if name in present), min(present, default=""))
