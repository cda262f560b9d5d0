"""Encoding of the texts of one training step: equal texts once, and in parts where a batch needs too much memory.

With `precision`, the matrix products of the text tower are of half precision; its features, the loss and the weights
are float32.

The loss compares all texts of a batch, so its parts cannot be trained one after the other. In parts, the texts are
encoded without graph, the loss of the whole batch gives the gradient at their features, and each part is encoded again,
with graph, to carry its gradient to the weights (gradient caching, arXiv 2101.06983). The gradient is that of the whole
batch, for one more forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

from trainers.models.text_tower import TextTower, eot_lengths
from trainers.settings import Precision

_FEWEST_REPEATS = 0.1
"""Share of equal rows from which they are encoded once. Below it nearly nothing is saved, and the order of sums, and so
the last bits of the weights, stay those of a batch that is encoded row by row."""
_TYPES: Mapping[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def distinct_rows(ids: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the distinct rows in the order of their first occurrence, and the place of each row among them.

    The order makes the result of a batch without equal texts the same bits as without this function.

    Args:
        ids: token ids on the CPU.  (N, L)

    Returns:
        Rows (U, L), and places (N,) in [0, U). All rows, and None instead of the places, where fewer than 10 % of the
        rows repeat another one.
    """
    places = dict[bytes, int]()
    place_of = [places.setdefault(row.tobytes(), len(places)) for row in ids.contiguous().numpy()]
    repeats = len(ids) - len(places)
    if not repeats or repeats < _FEWEST_REPEATS * len(ids):
        return ids, None
    first = dict[int, int]()
    for row, place in enumerate(place_of):
        first.setdefault(place, row)
    return ids[list(first.values())], torch.tensor(place_of)


class TextEncoder:
    """Encodes distinct texts with `tower`, with or without gradients; features and their gradients are float32."""

    def __init__(self, tower: TextTower, *, micro_batch: int | None = None, precision: Precision = "fp32") -> None:
        """
        Args:
            micro_batch: most texts whose activations are in memory at a time; None: all.
            precision: type of the matrix products inside the tower (autocast).
        """
        self._tower, self._micro_batch, self._type = tower, micro_batch, _TYPES.get(precision)

    def splits(self, ids: Tensor) -> bool:
        """Return whether these texts are encoded in parts."""
        return self._micro_batch is not None and len(ids) > self._micro_batch

    def encode(self, ids: Tensor) -> Tensor:
        """Return unit features of all texts at once, with gradients where these are enabled.  (U, L) -> (U, D)"""
        device = self._device
        # A context for each call: autocast keeps copies of weights inside a context, without graph if the first call
        # has none.
        with nullcontext() if self._type is None else torch.autocast(device.type, dtype=self._type):
            return self._tower(ids.to(device))

    @torch.no_grad()
    def encode_parts(self, ids: Tensor) -> Tensor:
        """Return unit features without graph, encoded in parts.  (U, L) -> (U, D)"""
        if not self.splits(ids):
            return self.encode(ids)
        parts = self._parts(ids)
        features = torch.cat([self.encode(ids[rows]) for rows in parts])
        return features[torch.argsort(torch.cat(parts)).to(features.device)]

    def backward(self, ids: Tensor, gradient: Tensor) -> None:
        """Encode the texts again, part by part, and add the gradients of the weights.

        Args:
            gradient: of the loss at the features of `encode_parts`.  (U, D)
        """
        for rows in self._parts(ids):
            features = self.encode(ids[rows])
            if features.requires_grad:  # not where logit_scale alone is trained
                features.backward(gradient[rows.to(gradient.device)])  # type: ignore[no-untyped-call]

    def gradients_through(
        self, ids: Tensor, loss_of: Callable[[Tensor], Tensor], scaled: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Add the gradients of a loss to the weights; return the loss.

        Args:
            loss_of: from features (U, D) of the texts to their loss; it may use other weights, too.
            scaled: multiplies the loss, and so the gradients, by the factor of a `GradScaler`.
        """
        if not self.splits(ids):
            loss = loss_of(self.encode(ids))
            scaled(loss).backward()  # type: ignore[no-untyped-call]
            return loss
        features = self.encode_parts(ids).requires_grad_()
        loss = loss_of(features)
        scaled(loss).backward()  # type: ignore[no-untyped-call]
        assert features.grad is not None
        self.backward(ids, features.grad)
        return loss

    def _parts(self, ids: Tensor) -> tuple[Tensor, ...]:
        """Return the rows of each part; texts of similar length are together, so that little padding is encoded."""
        assert self._micro_batch is not None
        return torch.split(torch.argsort(eot_lengths(ids), stable=True), self._micro_batch)

    @property
    def _device(self) -> torch.device:
        device = next(self._tower.model.parameters()).device
        assert isinstance(device, torch.device)
        return device
