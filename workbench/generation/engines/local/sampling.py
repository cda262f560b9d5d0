"""Sampling with a random generator per row, so that an answer does not depend on the other requests in its batch."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from workbench.generation.engines.requests import Sampling


class PerRowSampling(LogitsProcessor):
    """Chooses each row's token by its own temperature, top_p and seed; greedy decoding then takes that token."""

    def __init__(self, rows: Sequence[Sampling]) -> None:
        self._rows = rows
        self._draws = [random.Random(row.seed) for row in rows]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Mask all but the chosen token of each row.  input_ids: (B, T); scores: (B, V) -> (B, V)"""
        chosen = scores.argmax(-1)  # (B,)
        for row, (sampling, rng) in enumerate(zip(self._rows, self._draws, strict=True)):
            if sampling.temperature > 0:
                chosen[row] = draw(scores[row], sampling, rng.random())
        masked = torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)
        return cast(torch.FloatTensor, masked)


def draw(logits: Tensor, sampling: Sampling, number: float) -> Tensor:
    """Return the token at quantile `number` in [0, 1) of the nucleus of mass top_p.  logits: (V,) -> ()

    The nucleus contains at least the most probable token (Holtzman et al. 2020, nucleus sampling). Computed in double
    precision, so that rounding differences between batches do not change the choice.
    """
    shares = torch.softmax(logits.double() / sampling.temperature, dim=-1)
    shares, order = shares.sort(descending=True, stable=True)
    before = shares.cumsum(-1) - shares
    shares[(before >= sampling.top_p) & (before > 0)] = 0.0
    cumulative = shares.cumsum(-1)
    position = torch.searchsorted(cumulative, (number * cumulative[-1]).reshape(1), right=True).clamp_(
        max=len(shares) - 1
    )
    return order[position[0]]


class PerRowStopping(StoppingCriteria):
    """Ends each row at its own max_tokens, and all rows when the stop event is set."""

    def __init__(self, rows: Sequence[Sampling], prompt_length: int, stop: threading.Event) -> None:
        self._most = [prompt_length + row.max_tokens for row in rows]
        self._stop = stop

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: object) -> torch.BoolTensor:
        """Return which rows are done.  input_ids: (B, T) -> (B,)"""
        done = [self._stop.is_set() or input_ids.shape[1] >= most for most in self._most]
        return cast(torch.BoolTensor, torch.tensor(done, device=input_ids.device))
