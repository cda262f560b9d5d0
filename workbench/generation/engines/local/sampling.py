"""Drawing the next token of every row by that row's own numbers, so that a question's answer does not depend on what
is asked beside it."""

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
    """Chooses each row's token by its own temperature, top_p and seed; greedy decoding then takes what was chosen."""

    def __init__(self, rows: Sequence[Sampling]) -> None:
        self._rows = rows
        self._draws = [random.Random(row.seed) for row in rows]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Leave one token of each row.  input_ids: (B, T); scores: (B, V) -> (B, V)"""
        chosen = scores.argmax(-1)  # (B,)
        for row, (asked, draws) in enumerate(zip(self._rows, self._draws, strict=True)):
            if asked.temperature > 0:
                chosen[row] = draw(scores[row], asked, draws.random())
        left = torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)
        return cast(torch.FloatTensor, left)


def draw(logits: Tensor, asked: Sampling, number: float) -> Tensor:
    """The token at `number`, in [0, 1), of the likeliest ones that together have top_p.  logits: (V,) -> ()

    At least the likeliest token is in it (Holtzman et al. 2020, nucleus sampling). In double precision: a batch's
    rounding must not choose.
    """
    shares = torch.softmax(logits.double() / asked.temperature, dim=-1)
    shares, order = shares.sort(descending=True, stable=True)
    before = shares.cumsum(-1) - shares
    shares[(before >= asked.top_p) & (before > 0)] = 0.0
    upto = shares.cumsum(-1)
    place = torch.searchsorted(upto, (number * upto[-1]).reshape(1), right=True).clamp_(max=len(shares) - 1)
    return order[place[0]]


class PerRowStopping(StoppingCriteria):
    """Ends each row at its own max_tokens, and all of them when somebody says stop."""

    def __init__(self, rows: Sequence[Sampling], prompt_length: int, stop: threading.Event) -> None:
        self._most = [prompt_length + row.max_tokens for row in rows]
        self._stop = stop

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: object) -> torch.BoolTensor:
        """Which rows are done.  input_ids: (B, T) -> (B,)"""
        done = [self._stop.is_set() or input_ids.shape[1] >= most for most in self._most]
        return cast(torch.BoolTensor, torch.tensor(done, device=input_ids.device))
