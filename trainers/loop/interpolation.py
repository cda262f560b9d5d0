"""Interpolation between the weights of a base model and of a tuned one (WiSE-FT, arXiv 2109.01903).

`sweep` scores the interpolated weights over a grid of alpha, the share of the tuned model: 0 is the base model, 1 the
tuned one. `choose_alpha` picks the largest alpha that loses little of what the base model scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
S = TypeVar("S")

STEP = 0.1
"""Distance of the values of `alpha_grid`; each costs one encoding of all texts of the guard."""


def alpha_grid(largest: float = 1.0, *, step: float = STEP) -> list[float]:
    """Return 0, step, 2 * step, ... below `largest`, then `largest`; 3 * 0.1 is 0.3, not 0.30000000000000004.

    Raises:
        ValueError: `largest` or `step` is not in (0, 1].
    """
    if not (0 < largest <= 1 and 0 < step <= 1):
        raise ValueError(f"alpha and its step must be in (0, 1], not {largest} and {step}")
    values = (round(number * step, 10) for number in range(int(1 / step) + 1))
    return [*(value for value in values if value < largest), largest]


@torch.no_grad()
def interpolate(base: Weights, tuned: Weights, alpha: float) -> dict[str, Tensor]:
    """Return base + alpha * (tuned - base); alpha = 0 and 1 give the bits of `base` and `tuned`.

    Raises:
        ValueError: the weights have different names or shapes.
    """
    if base.keys() != tuned.keys():
        raise ValueError(f"only one of the models has {', '.join(sorted(base.keys() ^ tuned.keys())[:3])}")
    for name, value in base.items():
        if value.shape != tuned[name].shape:
            raise ValueError(f"{name} has the shapes {tuple(value.shape)} and {tuple(tuned[name].shape)}")
    return {
        name: torch.lerp(value, tuned[name], alpha) if value.is_floating_point() else tuned[name]
        for name, value in base.items()
    }


def sweep(
    base: Weights, tuned: Weights, alphas: Iterable[float], score: Callable[[Weights], S]
) -> Iterator[tuple[float, S]]:
    """Yield each alpha with the score of its weights, in the order of `alphas`.

    Args:
        score: measures interpolated weights; it puts them into a model, where it needs one.
    """
    for alpha in alphas:
        yield alpha, score(interpolate(base, tuned, alpha))


def choose_alpha(curve: Sequence[tuple[float, Sequence[float]]], max_loss: float) -> float:
    """Return the largest alpha at which each score is at most `max_loss` below that of alpha = 0.

    Args:
        curve: alpha with its scores, of which a higher one is better; alpha = 0 is among them.
        max_loss: in units of the scores.

    Raises:
        ValueError: the curve has no base model.
    """
    base = next((scores for alpha, scores in curve if alpha == 0), None)
    if base is None:
        raise ValueError("the curve has no alpha = 0, the base model")
    rounding = 1e-9  # 0.8 - 0.7 > 0.1
    return max(
        alpha
        for alpha, scores in curve
        if all(before - now <= max_loss + rounding for before, now in zip(base, scores, strict=True))
    )
