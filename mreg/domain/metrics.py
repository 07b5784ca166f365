"""Metrics: valid values, directions and comparisons."""

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
"""Metrics with their own options of the command line."""

DIGITS_LIMIT = 40
"""Maximum length of a number's text; no measured value needs more, so a longer one is a mistake or an attack."""

NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


class Direction(Enum):
    """Whether higher or lower values of a metric are better."""

    HIGHER = "higher"
    LOWER = "lower"

    @classmethod
    def parse(cls, text: str) -> Direction:
        """Return the direction with a name, in any case.

        Raises:
            BadInput: The name is neither higher nor lower.
        """
        for direction in cls:
            if direction.value == text.lower():
                return direction
        raise BadInput(f"invalid direction {quoted(text)}", hint="write higher or lower")


class Verdict(Enum):
    """The second of two values of a metric, compared with the first."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = "unknown"
    """The values differ, and the direction of the metric is unknown."""
    MISSING = "missing"
    """A value is missing, which never counts as a pass."""


def check_metric(name: str, value: object) -> MetricValue:
    """Return the value of a metric as an int or float, if it is finite; scalars of numpy and torch are converted.

    Raises:
        BadInput: It is not a number, a bool, NaN, infinite, or an integer too large for a 64-bit float.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        item = getattr(value, "item", None)
        value = item() if callable(item) and getattr(value, "ndim", None) == 0 else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _invalid(name, quoted(str(value)))
    try:
        finite = abs(float(value)) < float("inf")
    except OverflowError:
        finite = False
    if not finite:
        raise _invalid(
            name, str(value) if isinstance(value, float) else "an integer that is too large for a 64-bit float"
        )
    # A subclass such as numpy.float64 would be read back from the catalog as another type.
    return int(value) if isinstance(value, int) else float(value)


def known_metric(name: str) -> str:
    """Return the name of the well-known metric that a name spells in another way, otherwise the name.

    ``f1-score`` and ``F1 Score`` are ``f1_score``.
    """
    spelled = re.sub(r"[ -]+", "_", name.strip()).lower()
    return spelled if spelled in WELL_KNOWN else name


def parse_metric(name: str, text: str) -> MetricValue:
    """Return the number of a text such as ``0.95``, ``-1``, ``1e-300``; whole numbers become exact integers.

    Raises:
        BadInput: The text is not a decimal number, is longer than `DIGITS_LIMIT`, or exceeds a 64-bit float's range.
    """
    if len(text) > DIGITS_LIMIT or not NUMBER.fullmatch(text):
        raise _invalid(name, quoted(text))
    zero = not re.match(r"[+-]?[0.]*[1-9]", text)
    if _INTEGER.fullmatch(text) and not (zero and text.startswith("-")):
        return check_metric(name, int(text))
    value = float(text)
    if value == 0 and not zero:
        raise _invalid(name, f"{quoted(text)}, which is too small for a 64-bit float")
    return check_metric(name, value)


def _invalid(name: str, what: str) -> BadInput:
    return BadInput(
        f"invalid value of the metric {quoted(name)}: {what}",
        hint=f"use a finite decimal number: --metric {name if name.isprintable() and len(name) < 40 else 'name'}=0.95",
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
"""Words that, anywhere in a name, mark the uncertainty of a metric or a value subtracted from it."""

_OTHER = frozenset(
    "scale scaler weight weights threshold thresholds thresh cutoff margin gap delta diff difference change "
    "improvement reduction decrease increase savings target budget limit goal support shape version seed "
    "patience".split()
)
"""Words that, at the end of a name, mark a quantity related to a metric (``loss_scale``, ``accuracy_threshold``)."""

_AMOUNT = frozenset("time times duration size memory distance variance".split())
"""Words that, at the end of a name, mark an amount with unknown direction, unless a phrase determines it."""

_SPLITS = frozenset(
    "train training val valid validation test dev eval cv oof holdout mean avg average best final last overall macro "
    "micro weighted fold".split()
)
_BENCHMARK = re.compile(r"(?:test|bench)\w*(?:\[[^.]*\])?\.(min|max|mean|median|total|q1|q3|ops)")
"""The statistics of a benchmark of pytest-benchmark: seconds, and operations per second."""

_WORD = r"[A-Z]+(?=[A-Z][a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+"


def direction(name: str, own: Mapping[str, str] | None = None) -> Direction | None:
    """Return the direction of a metric: the one in ``own``, otherwise the one that its name suggests, or None.

    A name is split into words (``val_loss``, ``test/f1-macro``, ``rougeL``, ``p95_latency_ms``). Words of costs (loss,
    error, latency ...) take precedence over words of merits, so ``accuracy_loss`` is a loss. A leading ``neg`` reverses
    the direction (``neg_mean_squared_error`` in scikit-learn). For an ambiguous name, such as ``time``, ``size``,
    ``entropy``, ``distance`` or ``risk_score``, the result is None.

    Args:
        own: Directions that are set on the model, by metric.
    """
    if own and name in own:
        return Direction.parse(own[name])
    return _direction(name) or _benchmark_direction(name)


def _benchmark_direction(name: str) -> Direction | None:
    benchmark = _BENCHMARK.fullmatch(name)
    if benchmark is None:
        return None
    return Direction.HIGHER if benchmark[1] == "ops" else Direction.LOWER


def _direction(name: str) -> Direction | None:
    words = _words(name)
    letters = [word for word in words if not word.isdigit()]
    if not letters or _SPREAD.intersection(letters) or letters[-1] in _OTHER:
        return None
    negated = False
    while negation := _negation(words):
        words = words[negation:]
        negated = not negated
    suggested = _suggested(words)
    if suggested is None or not negated:
        return suggested
    return Direction.LOWER if suggested is Direction.HIGHER else Direction.HIGHER


def _negation(words: list[str]) -> int:
    """Return the number of words in a leading negation, including split names before it; 0 if there is none."""
    place = next((place for place, word in enumerate(words) if word not in _SPLITS), 0)
    negative = words[place : place + 1] in (["neg"], ["negative"])
    return place + 1 if negative and words[place + 1 : place + 2] != ["predictive"] else 0


def _suggested(words: list[str]) -> Direction | None:
    pairs = set(pairwise(words))
    known = {*words, *(word.rstrip("0123456789") for word in words)}
    telling = [word for word in words if word not in _SPLITS and not word.isdigit()]
    whole = "".join(word for word in words if word not in _SPLITS)
    if known.intersection(("d2", "skill")):  # the explained fraction of an error
        return Direction.HIGHER
    timed = any(first in _WORK and second in _TIME for first, second in pairs)
    if timed or any(first in _TIME and second == "per" for first, second in pairs) or pairs & _LOWER_PHRASES:
        return Direction.LOWER
    merit = bool(pairs & _HIGHER_PHRASES)
    if telling and telling[-1] in _AMOUNT and not merit:
        return None
    if known & _LOWER or whole in _LOWER:
        return Direction.LOWER
    # A bare "score" is what the score() of a scikit-learn estimator returns.
    if merit or known & _HIGHER or whole in _HIGHER or telling in (["score"], ["em"]):
        return Direction.HIGHER
    return None


@cache
def exact_arithmetic() -> Context:
    """Return a context in which sums and products of two metrics are exact; independent of the caller's context."""
    from decimal import Context  # only comparisons pay for the import

    return Context(prec=800, traps=[])


def exact(value: MetricValue) -> Decimal:
    """Return the number in its decimal notation, so that 0.95 - 0.94 is 0.01 and not 0.010000000000000009."""
    from decimal import Decimal

    return Decimal(repr(value))


def difference(first: MetricValue, second: MetricValue) -> MetricValue | None:
    """Return ``second - first`` in decimal arithmetic; None if it exceeds the range of a 64-bit float."""
    delta = float(exact_arithmetic().subtract(exact(second), exact(first)))
    if abs(delta) == float("inf"):
        return None
    return second - first if isinstance(first, int) and isinstance(second, int) else delta


def percent(first: MetricValue, second: MetricValue) -> float | None:
    """Return the change in percent of the absolute first value; None if that is 0 or the result is out of range."""
    if first == 0:
        return None
    context = exact_arithmetic()
    delta = context.subtract(exact(second), exact(first))
    ratio = float(context.scaleb(context.divide(delta, exact(first).copy_abs()), 2))
    return ratio if abs(ratio) < float("inf") else None


def verdict(first: MetricValue | None, second: MetricValue | None, better: Direction | None) -> Verdict:
    """Compare the second value with the first."""
    if first is None or second is None:
        return Verdict.MISSING
    # Compare an integer and a float in decimal notation, like `difference` does: 1e23 is 10**23.
    before, after = exact(first), exact(second)
    if before == after:
        return Verdict.SAME
    if better is None:
        return Verdict.UNKNOWN
    return Verdict.BETTER if (after > before) == (better is Direction.HIGHER) else Verdict.WORSE


QUALITY = tuple(
    "accuracy acc f1_score f1 roc_auc auc auroc average_precision pr_auc auprc map mcc r2 r2_score ndcg mrr bleu "
    "sacrebleu rouge_l rouge1 exact_match iou dice precision recall rmse mae mse mape wer cer perplexity loss "
    "latency_ms".split()
)
"""Metrics that measure the quality of a model, in the order in which the default primary metric is chosen."""

_RANK = {"".join(re.findall(_WORD, name)): place for place, name in enumerate(QUALITY)}
_TRAINING = frozenset(("train", "training"))
_HELD_OUT = ("test", "holdout", "eval", "validation", "valid", "val", "dev", "cv")
"""Data sets of a metric, in the order of preference; a metric without a data set comes first."""

_COUNTED = frozenset(
    "epoch epochs step steps iteration iterations iter round rounds rank seed count counts num samples support size "
    "bytes memory params parameters flos flops time times timestamp runtime duration latency elapsed seconds sec secs "
    "ms minutes hours per fps qps rps ops throughput lr".split()
)
"""Words of counters, rates, times and sizes, which are not chosen as the primary metric (except ``latency_ms``)."""


def primary_metric(chosen: str, present: Collection[str], own: Mapping[str, str] | None = None) -> str:
    """Return a model's primary metric; empty if there is none.

    It is the chosen one, even if no version has it. Otherwise it is the first of `QUALITY` that the latest version has,
    with or without the name of a data set (``eval_accuracy``, ``val.acc``; that of the training data last). Otherwise
    it is the only metric of the latest version with a known direction, but never a counter, rate, time or size.

    Args:
        chosen: The metric that is set on the model; empty if none is.
        present: Metrics of the latest version.
        own: Directions that are set on the model, by metric.
    """
    if chosen:
        return chosen
    ranked = sorted((rank, name) for name in present if (rank := _quality(name)) is not None)
    if ranked:
        return ranked[0][1]
    directed = [name for name in present if direction(name, own) and not _COUNTED.intersection(_words(name))]
    return directed[0] if len(directed) == 1 else ""


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(_WORD, name)]


def _quality(name: str) -> tuple[bool, int, int] | None:
    """Return the rank of a metric of `QUALITY`, lower is preferred; None for another metric."""
    words = _words(name)
    place = _RANK.get("".join(word for word in words if word not in _SPLITS))
    if place is None:
        return None
    held_out = next((rank for rank, word in enumerate(_HELD_OUT, 1) if word in words), 0)
    return bool(_TRAINING.intersection(words)), place, held_out
