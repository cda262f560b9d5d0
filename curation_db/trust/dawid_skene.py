"""Consensus of annotators of different quality (Dawid & Skene 1979). A pure function.

Each annotator has a confusion matrix; the EM algorithm estimates these matrices, the shares of the labels and the
probability of each label for each item. Where most items have one or two votes, majority is the safer choice: the
matrices rest on few answers.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

_MAX_STEPS: Final = 1000
_CONVERGED: Final = 1e-8
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Consensus:
    """Estimates of the model."""

    probabilities: dict[Hashable, tuple[float, ...]]
    """By item: probability of each label."""
    shares: tuple[float, ...]
    """Share of each label among the items."""
    confusion: dict[Hashable, tuple[tuple[float, ...], ...]]
    """By annotator: row = true label, column = given label."""
    steps: int


def consensus(votes: Sequence[tuple[Hashable, Hashable, int]], labels: int) -> Consensus:
    """Estimate the true label of each item from votes (item, annotator, label in 0 .. labels - 1).

    The start is the share of the votes of each item; an annotator may vote for an item more than once.

    Raises:
        ValueError: a label is out of range.
    """
    if any(not 0 <= label < labels for _, _, label in votes):
        raise ValueError(f"labels are 0 to {labels - 1}")
    items = list(dict.fromkeys(item for item, _, _ in votes))
    people = list(dict.fromkeys(person for _, person, _ in votes))
    rows, columns = {item: n for n, item in enumerate(items)}, {person: n for n, person in enumerate(people)}
    counts = np.zeros((len(people), len(items), labels))
    for item, person, label in votes:
        counts[columns[person], rows[item], label] += 1
    truth = counts.sum(axis=0)
    truth = truth / np.maximum(truth.sum(axis=1, keepdims=True), _TINY)
    steps = 0
    for steps in range(1, _MAX_STEPS + 1):  # noqa: B007 -- reported
        shares = truth.mean(axis=0) if items else np.full(labels, 1 / labels)
        confusion = np.einsum("it,pil->ptl", truth, counts)
        confusion = confusion / np.maximum(confusion.sum(axis=2, keepdims=True), _TINY)
        logs = np.log(shares + _TINY) + np.einsum("pil,ptl->it", counts, np.log(confusion + _TINY))
        estimate = np.exp(logs - logs.max(axis=1, keepdims=True)) if items else truth
        estimate = estimate / np.maximum(estimate.sum(axis=1, keepdims=True), _TINY)
        moved = float(np.abs(estimate - truth).max()) if items else 0.0
        truth = estimate
        if moved < _CONVERGED:
            break
    return Consensus(
        {item: tuple(float(p) for p in truth[n]) for n, item in enumerate(items)},
        tuple(float(share) for share in shares),
        {person: tuple(tuple(float(p) for p in row) for row in confusion[n]) for n, person in enumerate(people)},
        steps,
    )
