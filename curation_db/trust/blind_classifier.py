"""Whether the true caption of a pair can be told from the false one by the text alone. Pure functions.

A set of (true, false) caption pairs trains a model to look at the image only if the texts do not give the answer away
(SugarCrepe: Hsieh et al. 2023). A classifier that never sees an image is fitted on word n-grams and must pick the true
caption of pairs on images that it was not fitted on. If it does so clearly more often than half of the time, a model
can learn the same habit instead of negation.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_db.stats.intervals import LEVEL, Interval, cluster_bootstrap

LIMIT: Final = 0.60
"""The upper bound of the accuracy must not exceed it."""
FOLDS: Final = 5
_LEVEL: Final = 0.90
"""Of the two-sided interval, so that its upper limit is a one-sided bound at 95 %."""
_LONGEST: Final = 2
_PENALTY: Final = 1.0
_STEPS: Final = 200
_MEMORY: Final = 10
_CONVERGED: Final = 1e-5
_SHOWN: Final = 10
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[^\w\s]")
Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
_BIAS: Final = ""


@dataclass(frozen=True, slots=True)
class CaptionPair:
    """Two captions of one image; only one of them is true."""

    true: str
    false: str
    image: Hashable


@dataclass(frozen=True, slots=True)
class BlindResult:
    pairs: int
    images: int
    accuracy: Interval
    """Share of pairs whose true caption is picked, ties count half; the upper limit is a one-sided 95 % bound that
    resamples images."""
    habits: tuple[tuple[str, float], ...]
    """The n-grams with the largest weights: positive ones speak for a true caption."""

    def passes(self, limit: float = LIMIT) -> bool:
        """Return whether the texts give the answer away no more than allowed; without pairs they do not."""
        return not self.pairs or self.accuracy.high <= limit


@dataclass(frozen=True, slots=True)
class TextBias:
    """How well the text alone predicts whether a caption is accepted."""

    accepted: int
    rejected: int
    discrimination: Interval
    """Probability that a random accepted caption has a higher score than a random rejected one (the area under the ROC
    curve), ties count half; .5: the text says nothing."""
    habits: tuple[tuple[str, float], ...]
    """The n-grams with the largest weights: positive ones speak for an accepted caption."""


def blind_accuracy(
    pairs: Sequence[CaptionPair],
    *,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> BlindResult:
    """Cross-validate the classifier on n pairs; all pairs of an image are in one fold.

    The score of a caption is a sum of weights of its word 1- and 2-grams. The weights maximise the likelihood that the
    true caption of a pair has the higher score, with an L2 penalty of sum of w^2 / 2.
    """
    if not pairs:
        return BlindResult(0, 0, Interval(float("nan"), 0.0, 1.0), ())
    images = [pair.image for pair in pairs]
    vocabulary: dict[str, int] = {}
    features = _Differences.of(pairs, vocabulary)
    margins, weights = _cross_validate(features, images, folds, seed, progress)
    picked = np.where(np.abs(margins) < _CONVERGED, 0.5, margins > 0)
    accuracy = cluster_bootstrap([float(each) for each in picked], images, level=_LEVEL)
    return BlindResult(len(pairs), len(set(images)), accuracy, _habits(weights, vocabulary))


def text_bias(
    accepted: Sequence[tuple[str, Hashable]],
    rejected: Sequence[tuple[str, Hashable]],
    *,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> TextBias:
    """Cross-validate the classifier on accepted and rejected captions, as (text, image), of the same vocabulary.

    It is a logistic regression on n-gram counts with a constant. The interval is that of DeLong et al. (1988).
    """
    images = [image for _, image in (*accepted, *rejected)]
    sign = np.array([1.0] * len(accepted) + [-1.0] * len(rejected))
    if not accepted or not rejected:
        return TextBias(len(accepted), len(rejected), Interval(math.nan, 0.0, 1.0), ())
    vocabulary: dict[str, int] = {}
    features = _Differences.of_signed([text for text, _ in (*accepted, *rejected)], sign, vocabulary)
    margins, weights = _cross_validate(features, images, folds, seed, progress)
    scores = margins * sign
    habits = _habits(weights, {name: number for name, number in vocabulary.items() if name != _BIAS})
    return TextBias(len(accepted), len(rejected), _discrimination(scores[sign > 0], scores[sign < 0]), habits)


def _cross_validate(
    features: _Differences, images: Sequence[Hashable], folds: int, seed: int, progress: Progress
) -> tuple[Array, Array]:
    """Return the margin of each row under the weights of the other folds, and the weights of all rows."""
    fold_of = {image: _fold(number, seed, folds) for number, image in enumerate(dict.fromkeys(images))}
    side = np.array([fold_of[image] for image in images])
    margins = np.zeros(features.height)
    for fold in range(folds):
        held_out = side == fold
        if held_out.any():
            margins[held_out] = features.rows(held_out) @ _fit(features.rows(~held_out))
        progress(fold + 1, folds + 1)
    weights = _fit(features)
    progress(folds + 1, folds + 1)
    return margins, weights


def _discrimination(higher: Array, lower: Array) -> Interval:
    """Return P(higher > lower) + P(equal) / 2 with its interval from the variances of the two placements."""

    def placements(values: Array, others: Array) -> Array:
        ordered = np.sort(others)
        below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
        return below / (2 * len(others))

    above, under = placements(higher, lower), placements(lower, higher)
    estimate = float(above.mean())
    variance = sum(float(each.var(ddof=1)) / len(each) for each in (above, under) if len(each) > 1)
    half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * math.sqrt(variance)
    return Interval(estimate, max(0.0, estimate - half), min(1.0, estimate + half))


def balanced(forward: Sequence[CaptionPair], reverse: Sequence[CaptionPair], *, seed: int = 0) -> list[CaptionPair]:
    """Return as many forward pairs (the negated caption is true) as reverse pairs (it is false).

    The larger side is thinned by a seeded hash of its texts, so that the choice does not depend on the order.
    """
    count = min(len(forward), len(reverse))

    def draw(pair: CaptionPair) -> bytes:
        identity = f"{seed}\0{pair.image}\0{pair.true}\0{pair.false}"
        return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).digest()

    return [*sorted(forward, key=draw)[:count], *sorted(reverse, key=draw)[:count]]


def ngrams(caption: str) -> list[str]:
    """Return the word 1- and 2-grams of a caption, case-folded, with a mark at both ends."""
    words = ["<", *_WORD.findall(caption.casefold()), ">"]
    return [" ".join(words[i : i + n]) for n in range(1, _LONGEST + 1) for i in range(len(words) - n + 1)]


def _fold(number: int, seed: int, folds: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:8]) % folds


@dataclass(frozen=True, slots=True)
class _Differences:
    """Sparse rows: n-gram counts of the true caption minus those of the false one."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    value: Array
    height: int
    width: int

    @classmethod
    def of(cls, pairs: Sequence[CaptionPair], vocabulary: dict[str, int]) -> _Differences:
        row, column, value = [], [], []
        for number, pair in enumerate(pairs):
            counts: dict[str, int] = {}
            for caption, sign in ((pair.true, 1), (pair.false, -1)):
                for gram in ngrams(caption):
                    counts[gram] = counts.get(gram, 0) + sign
            for gram, count in counts.items():
                if count:
                    row.append(number)
                    column.append(vocabulary.setdefault(gram, len(vocabulary)))
                    value.append(float(count))
        return cls(np.array(row, int), np.array(column, int), np.array(value), len(pairs), len(vocabulary))

    @classmethod
    def of_signed(cls, texts: Sequence[str], sign: Array, vocabulary: dict[str, int]) -> _Differences:
        """Return rows of n-gram counts and a constant, times the sign of each text."""
        row, column, value = [], [], []
        for number, caption in enumerate(texts):
            for gram, count in Counter([_BIAS, *ngrams(caption)]).items():
                row.append(number)
                column.append(vocabulary.setdefault(gram, len(vocabulary)))
                value.append(count * float(sign[number]))
        return cls(np.array(row, int), np.array(column, int), np.array(value), len(texts), len(vocabulary))

    def rows(self, wanted: NDArray[np.bool_]) -> _Differences:
        """Return the wanted rows, renumbered."""
        inside = wanted[self.row] if self.row.size else np.zeros(0, bool)
        number = np.cumsum(wanted) - 1
        return _Differences(
            number[self.row[inside]], self.column[inside], self.value[inside], int(wanted.sum()), self.width
        )

    def __matmul__(self, weights: Array) -> Array:
        return np.bincount(self.row, self.value * weights[self.column], self.height).astype(np.float64)

    def transposed(self, values: Array) -> Array:
        return np.bincount(self.column, self.value * values[self.row], self.width).astype(np.float64)


def _fit(features: _Differences) -> Array:
    """Return the weights (width) of the penalised maximum likelihood, by L-BFGS (Nocedal 1980) with backtracking."""

    def value_and_gradient(weights: Array) -> tuple[float, Array]:
        margins = features @ weights
        loss = float(np.logaddexp(0, -margins).sum() + _PENALTY * weights @ weights / 2)
        return loss, _PENALTY * weights - features.transposed(1 / (1 + np.exp(np.clip(margins, -500, 500))))

    weights = np.zeros(features.width)
    loss, gradient = value_and_gradient(weights)
    history: list[tuple[Array, Array]] = []
    for _ in range(_STEPS):
        if float(np.abs(gradient).max(initial=0.0)) < _CONVERGED * max(1, features.height):
            break
        direction = -_times_inverse_hessian(gradient, history)
        slope, rate = float(gradient @ direction), 1.0 if history else 1 / max(1.0, float(np.abs(gradient).sum()))
        while True:
            trial = weights + rate * direction
            trial_loss, trial_gradient = value_and_gradient(trial)
            if trial_loss <= loss + 1e-4 * rate * slope or rate < 1e-12:
                break
            rate /= 2
        step, change = trial - weights, trial_gradient - gradient
        if float(step @ change) > 0:
            history = [*history[-_MEMORY + 1 :], (step, change)]
        weights, loss, gradient = trial, trial_loss, trial_gradient
    return weights


def _times_inverse_hessian(gradient: Array, history: Sequence[tuple[Array, Array]]) -> Array:
    """Return the gradient times the inverse Hessian that the last steps and changes of the gradient imply."""
    result = gradient.copy()
    shares = []
    for step, change in reversed(history):
        share = float(step @ result) / float(step @ change)
        shares.append(share)
        result -= share * change
    if history:
        step, change = history[-1]
        result *= float(step @ change) / float(change @ change)
    for (step, change), share in zip(history, reversed(shares), strict=True):
        result += (share - float(change @ result) / float(step @ change)) * step
    return result


def _habits(weights: Array, vocabulary: dict[str, int]) -> tuple[tuple[str, float], ...]:
    order = sorted(vocabulary, key=lambda name: (-abs(weights[vocabulary[name]]), name))[:_SHOWN]
    return tuple((name, float(weights[vocabulary[name]])) for name in order)
