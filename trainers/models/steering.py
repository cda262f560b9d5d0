"""Hidden states of a text tower at the end token, and a tower that shifts them after one layer.

The states are those of the residual stream after each block of a causal tower pooled at the end token (EOT), as CLIP's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from trainers.errors import TrainerError
from trainers.models.clip_model import ClipModel
from trainers.models.routed import RoutedClipModel
from trainers.models.text_tower import TextTower, cut, encode_short, eot_lengths, text_module

_BATCH = 256


def check_steerable(model: ClipModel) -> None:
    """Check that the text tower has blocks, and reads from left to right up to the end token.

    Raises:
        TrainerError: It does not, or the model has two text towers.
    """
    if isinstance(model, RoutedClipModel):
        raise TrainerError(f"{model.name} is routed: it has two text towers", hint="steer one of its parts")
    if not model.text_tower.trims or not hasattr(text_module(model.model).transformer, "resblocks"):
        raise TrainerError(
            f"{model.name} cannot be steered: its text tower does not read from left to right to an end token",
            hint="use another correction",
        )


@torch.inference_mode()
def end_states(model: ClipModel, texts: Sequence[str]) -> Tensor:
    """Return the state of the end token after each layer.  -> (layers, N, W) float32, CPU

    Raises:
        TrainerError: As for `check_steerable`.
    """
    check_steerable(model)
    ids = model.tokenizer(list(texts))
    batches = [_end_states(model.model, cut(rows).to(model.device)) for rows in torch.split(ids, _BATCH)]
    return torch.cat(batches, dim=1)


def _end_states(model: Any, ids: Tensor) -> Tensor:
    """Return the states of one batch.  (N, l) -> (layers, N, W) float32, CPU"""
    transformer, at = text_module(model).transformer, _ends(ids)
    states: list[Tensor] = []
    with ExitStack() as hooks:
        for block in transformer.resblocks:
            hook = block.register_forward_hook(
                lambda _, given, state: states.append(_batch_first(transformer, state)[at].float().cpu())
            )
            hooks.callback(hook.remove)
        encode_short(model, ids)
    return torch.stack(states)


def _ends(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row and the column of each end token.  (N, l) -> (N,), (N,)"""
    return torch.arange(len(ids), device=ids.device), eot_lengths(ids) - 1


def _batch_first(transformer: Any, state: Tensor) -> Tensor:
    """Return a view (N, l, W) of the output of a block, which is (l, N, W) in some towers."""
    return state if getattr(transformer, "batch_first", False) else state.transpose(0, 1)


class SteeredTower(TextTower):
    """A causal tower whose state h of the end token after one layer is h + |h| `shift`; other models stay as they are.

    Formula: Sammani et al., arXiv 2603.20554, with one layer instead of all, and h itself instead of (1 - alpha) h.
    """

    def __init__(self, tower: TextTower, layer: int, shift: Tensor) -> None:
        """Steer `tower`.

        Args:
            layer: From 1.
            shift: (W,)
        """
        self.model, self.trims = tower.model, tower.trims
        self._layer, self._shift = layer, shift

    def _encode(self, ids: Tensor) -> Tensor:
        transformer, at = text_module(self.model).transformer, _ends(ids)
        hook = transformer.resblocks[self._layer - 1].register_forward_hook(self._shifted(transformer, at))
        try:
            return encode_short(self.model, ids)
        finally:
            hook.remove()

    def _shifted(self, transformer: Any, at: tuple[Tensor, Tensor]) -> Callable[[Any, Any, Tensor], Tensor]:
        def change(_: Any, given: Any, output: Tensor) -> Tensor:
            changed = output.clone()
            states = _batch_first(transformer, changed)
            ends = states[at]
            states[at] = ends + ends.norm(dim=-1, keepdim=True) * self._shift.to(ends)
            return changed

        return change
