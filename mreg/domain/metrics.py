"""Metrics: which numbers are accepted, which way is better, and what a difference means."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from mreg.domain.text import quoted
from mreg.errors import BadInput

if TYPE_CHECKING:
    from decimal import Context, Decimal

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
    zero = not re.match(r"[+-]?[0.]*[1-9]", text)
    if _INTEGER.fullmatch(text) and not (zero and text.startswith("-")):
        return check_metric(name, int(text))
    value = float(text)
    if value == 0 and not zero:
        raise _bad_metric(name, f"{quoted(text)}, which is too small for a 64-bit float")
    return check_metric(name, value)


def _bad_metric(name: str, what: str) -> BadInput:
    return BadInput(
        f"the metric {quoted(name)} can't be {what}",
        hint=f"give a finite decimal number: --metric {name if name.isprintable() and len(name) < 40 else 'name'}=0.95",
    )


_HIGHER = frozenset(
    "accuracy acc f1 f2 fbeta precision prec recall auc auroc auprc aucpr roc ap map mar mrr ndcg dcg r2 bleu "
    "sacrebleu bleurt rouge rouge1 rouge2 rougel rougelsum meteor chrf bertscore comet mauve sari iou miou giou diou "
    "ciou dice jaccard kappa mcc matthews corrcoef corr correlation concordance pearson pearsonr spearman spearmanr "
    "kendall kendalltau sensitivity specificity tpr tnr ppv npv psnr ssim snr sdr pesq stoi throughput fps qps rps "
    "hit hits top1 top5 silhouette calinski dunn fowlkes homogeneity completeness purity ari ami nmi elbo reward "
    "rewards".split()
)
_LOWER = frozenset(
    "loss losses logloss mlogloss nloglik error errors err merror mae mse rmse nrmse msle rmsle mape smape wape wmape "
    "mase rmsse medae perplexity ppl wer cer ter latency runtime ttft tpot fid kid lpips dssim brier ece hinge nll "
    "crossentropy logcosh deviance crps cost eer bpb bpc false fpr fnr fdr frr toxicity regret misclassification aic "
    "bic davies bouldin fallout emissions hausdorff levenshtein wasserstein frechet".split()
)
_HIGHER_PHRASES = frozenset(
    tuple(phrase.split())
    for phrase in (
        "true positive, true positives, true negative, true negatives, exact match, explained variance, "
        "cosine similarity, structural similarity, io u, intersection over, noise ratio, distortion ratio, "
        "mutual info, mutual information, adjusted rand, rand score, rand index, panoptic quality, "
        "inception score, v measure, f score, f measure, f beta, r squared, log likelihood, likelihood ratio, "
        "predictive value, success rate, win rate, pass rate, pass at, pass k, pass 1, pass 10, pass 100, "
        "info preserved, chr f, per second, per sec, per s, per minute, per min, per hour, per ms"
    ).split(", ")
)
_LOWER_PHRASES = frozenset(
    tuple(phrase.split())
    for phrase in (
        "cross entropy, log cosh, fall out, miss rate, failure rate, hallucination rate, absolute deviation, "
        "edit distance, edit rate, hamming distance, minkowski distance, inception distance, ranked probability, "
        "patch similarity, info lost, bits per, kl divergence, js divergence, leibler divergence, "
        "shannon divergence, kullback leibler, peak memory, memory usage, memory used, model size, first token"
    ).split(", ")
)
_WORK = frozenset(
    "inference prediction predict training train fit score scoring response eval evaluation wall elapsed cpu gpu "
    "processing decode decoding encode encoding load loading startup execution run step epoch request forward "
    "backward search query build p50 p90 p95 p99 p999".split()
)
_TIME = frozenset("time times duration hours minutes seconds secs sec s ms us ns".split())
_SPREAD = frozenset("std stdev stddev stderr var ci minus".split())
"""With one of these anywhere, the name is of how sure a metric is, or of something taken away from it."""

_OTHER = frozenset(
    "scale scaler weight weights threshold thresholds thresh cutoff margin gap delta diff difference change "
    "improvement reduction decrease increase savings target budget limit goal support shape version seed "
    "patience".split()
)
"""At the end, the name is of something about a metric (``loss_scale``, ``accuracy_threshold``)."""

_AMOUNT = frozenset("time times duration size memory distance variance".split())
"""At the end, the name is of an amount of which more may be better or worse, unless a phrase says more."""

_SPLITS = frozenset(
    "train training val valid validation test dev eval cv oof holdout mean avg average best final last overall macro "
    "micro weighted fold".split()
)
_WORD = r"[A-Z]+(?=[A-Z][a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+"


def direction(name: str, own: Mapping[str, str] | None = None) -> Direction | None:
    """Which way the metric is better: the model's own word first, else what its name says, else None.

    A name is read by its words (``val_loss``, ``test/f1-macro``, ``rougeL``, ``p95_latency_ms``); a word of a cost
    (loss, error, latency ...) decides before a word of a merit (``accuracy_loss`` is a loss), and ``neg`` in front
    turns what follows round (``neg_mean_squared_error``, scikit-learn's way). Where a name can mean either, as
    ``time``, ``size``, ``entropy``, ``distance`` or ``risk_score`` can, nothing is claimed.
    """
    if own and name in own:
        return Direction.parse(own[name])
    words = [word.lower() for word in re.findall(_WORD, name)]
    spoken = [word for word in words if not word.isdigit()]
    if not spoken or _SPREAD.intersection(spoken) or spoken[-1] in _OTHER:
        return None
    turned = False
    while negation := _negation(words):
        words = words[negation:]
        turned = not turned
    way = _way(words)
    if way is None or not turned:
        return way
    return Direction.LOWER if way is Direction.HIGHER else Direction.HIGHER


def _negation(words: list[str]) -> int:
    """How many words a negation in front takes up, with the name of the split before it; 0 where there is none."""
    place = next((place for place, word in enumerate(words) if word not in _SPLITS), 0)
    negative = words[place : place + 1] in (["neg"], ["negative"])
    return place + 1 if negative and words[place + 1 : place + 2] != ["predictive"] else 0


def _way(words: list[str]) -> Direction | None:
    pairs = set(pairwise(words))
    known = {*words, *(word.rstrip("0123456789") for word in words)}
    telling = [word for word in words if word not in _SPLITS and not word.isdigit()]
    whole = "".join(word for word in words if word not in _SPLITS)
    if known.intersection(("d2", "skill")):  # the share of an error that was explained
        return Direction.HIGHER
    timed = any(first in _WORK and second in _TIME for first, second in pairs)
    if timed or any(first in _TIME and second == "per" for first, second in pairs) or pairs & _LOWER_PHRASES:
        return Direction.LOWER
    merit = bool(pairs & _HIGHER_PHRASES)
    if telling and telling[-1] in _AMOUNT and not merit:
        return None
    if known & _LOWER or whole in _LOWER:
        return Direction.LOWER
    # A score is a merit where nothing says of what: it is what an estimator's own score() gives.
    if merit or known & _HIGHER or whole in _HIGHER or telling in (["score"], ["em"]):
        return Direction.HIGHER
    return None


@cache
def exact_arithmetic() -> Context:
    """Arithmetic that rounds no sum or product of two metrics, whatever context the caller's program has set."""
    from decimal import Context  # a millisecond that only what compares has to pay

    return Context(prec=800, traps=[])


def exact(value: MetricValue) -> Decimal:
    """The value as the decimal number that was written, so that 0.95 - 0.94 is 0.01 and not 0.010000000000000009."""
    from decimal import Decimal

    return Decimal(repr(value))


def difference(first: MetricValue, second: MetricValue) -> MetricValue | None:
    """``second - first`` in decimal arithmetic; None where no 64-bit float can hold it."""
    delta = float(exact_arithmetic().subtract(exact(second), exact(first)))
    if abs(delta) == float("inf"):
        return None
    return second - first if isinstance(first, int) and isinstance(second, int) else delta


def percent(first: MetricValue, second: MetricValue) -> float | None:
    """The change in percent of the first value's size; None where the first is 0 or the result is out of range."""
    if first == 0:
        return None
    context = exact_arithmetic()
    delta = context.subtract(exact(second), exact(first))
    ratio = float(context.scaleb(context.divide(delta, exact(first).copy_abs()), 2))
    return ratio if abs(ratio) < float("inf") else None


def verdict(first: MetricValue | None, second: MetricValue | None, way: Direction | None) -> Verdict:
    """What the second value is, seen from the first."""
    if first is None or second is None:
        return Verdict.MISSING
    # Of an integer and a float, what was written counts, as it does for their difference: 1e23 is 10**23.
    before, after = exact(first), exact(second)
    if before == after:
        return Verdict.SAME
    if way is None:
        return Verdict.UNKNOWN
    return Verdict.BETTER if (after > before) == (way is Direction.HIGHER) else Verdict.WORSE


def primary_metric(chosen: str, present: Collection[str]) -> str:
    """Return a model's primary metric: its own choice, else the first well-known one, else the first by name.

    The result is empty if there is none. The model's own choice is returned even if no version has it.

    Args:
        chosen: The model's own choice; empty for none.
        present: Metrics of all versions of the model; of those that are not well known, the first by name is enough.
    """
    if chosen:
        return chosen
    return next((name for name in WELL_KNOWN if name in present), min(present, default=""))
