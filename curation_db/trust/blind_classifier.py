"""Whether the true caption of a pair can be told from the false one by the text alone. Pure functions.

A set of (true, false) caption pairs trains a model to look at the image only if the texts do not give the answer away
(SugarCrepe: Hsieh et al. 2023). A classifier that never sees an image is fitted on word n-grams and must pick the true
caption of pairs on images that it was not fitted on. If it does so clearly more often than half of the time, a model
can learn the same habit instead of negation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_db.stats.intervals import Interval, cluster_bootstrap

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


def blind_accuracy(pairs: Sequence[CaptionPair], *, folds: int = FOLDS, seed: int = 0) -> BlindResult:
    """Cross-validate the classifier on n pairs; all pairs of an image are in one fold.

    The score of a caption is a sum of weights of its word 1- and 2-grams. The weights maximise the likelihood that the
    true caption of a pair has the higher score, with an L2 penalty of sum of w^2 / 2.
    """
    images = list(dict.fromkeys(pair.image for pair in pairs))
    if not pairs:
        return BlindResult(0, 0, Interval(float("nan"), 0.0, 1.0), ())
    fold_of = {image: _fold(number, seed, folds) for number, image in enumerate(images)}
    side = np.array([fold_of[pair.image] for pair in pairs])
    vocabulary: dict[str, int] = {}
    features = _Differences.of(pairs, vocabulary)
    picked = np.full(len(pairs), 0.5)
    for fold in range(folds):
        held_out = side == fold
        if held_out.any():
            margins = features.rows(held_out) @ _fit(features.rows(~held_out))
            picked[held_out] = np.where(np.abs(margins) < _CONVERGED, 0.5, margins > 0)
    accuracy = cluster_bootstrap([float(each) for each in picked], [pair.image for pair in pairs], level=_LEVEL)
    return BlindResult(len(pairs), len(images), accuracy, _habits(_fit(features), vocabulary))


def balanced(forward: Sequence[CaptionPair], reverse: Sequence[CaptionPair], *, seed: int = 0) -> list[CaptionPair]:
    """Return as many forward pairs (the negated caption is true) as reverse pairs (it is false).

    The larger side is thinned by a seeded hash of its texts, so that the choice does not depend on the order.
    """
    count = min(len(forward), len(reverse))

    def draw(pair: CaptionPair) -> bytes:
        return hashlib.sha256(f"{seed}\0{pair.image}\0{pair.true}\0{pair.false}".encode()).digest()

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
    names = list(vocabulary)
    order = sorted(range(len(names)), key=lambda n: (-abs(weights[n]), names[n]))[:_SHOWN]
    return tuple((names[n], float(weights[n])) for n in order)
