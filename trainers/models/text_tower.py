"""Text encoder that trims causal towers pooled at EOT to the longest EOT of a batch.

Positions after EOT cannot reach it through a causal mask, so the result is the same for a fraction of the work. A probe
at load time decides whether this holds for a model, never the model's name; where it does not hold, the whole context
is encoded. Imports torch and open_clip only.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from open_clip.transformer import text_global_pool  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

PROBE_TOLERANCE = 1e-4
"""Maximum difference of unit features that counts as rounding (bidirectional towers differ by more than 0.1)."""
_FEWEST_BUCKETS, _MOST_BUCKETS = 4, 16
"""Buckets per batch, by length. 512 captions like COCO's have 11 % padding in 4 buckets, 5 % in 8, 3 % in 16."""
_BUCKET_ROWS = 64
"""Rows per bucket, between these limits."""
_MIN_BUCKET_ROWS = 16
"""Smaller buckets cost more in calls than they save."""


def eot_lengths(ids: Tensor) -> Tensor:
    """Return the number of tokens of each row up to and including its EOT, the highest id.  (N, L) -> (N,)"""
    return ids.argmax(dim=-1) + 1


def cut(ids: Tensor) -> Tensor:
    """Drop the columns after the longest EOT.  (N, L) -> (N, l), l <= L"""
    return ids[:, : int(eot_lengths(ids).max())] if len(ids) else ids


def encode_short(model: Any, ids: Tensor) -> Tensor:
    """Encode rows shorter than the context, without normalisation, like open_clip's `encode_text`.  (N, l) -> (N, D)

    open_clip 3.3 rejects such rows; this is its forward pass with positions and mask cut to length.
    """
    length, dtype = ids.shape[1], model.transformer.get_cast_dtype()
    x = model.token_embedding(ids).to(dtype)  # (N, l, W)
    x = x + model.positional_embedding[:length].to(dtype)
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)
    x = text_global_pool(x, ids, model.text_pool_type, eos_token_id=getattr(model, "text_eos_id", None))  # (N, W)
    projection = model.text_projection
    if projection is not None:
        x = projection(x) if isinstance(projection, nn.Linear) else x @ projection
    return cast(Tensor, x)  # (N, D)


class TextTower:
    """Encodes token ids with `model`; trims them where the probe shows that trimming is exact."""

    def __init__(self, model: Any, *, context_length: int, vocab_size: int) -> None:
        self.model = model
        self.trims: bool = _trimming_is_exact(model, context_length, vocab_size)
        """Whether rows are cut to the longest EOT of their batch."""

    def __call__(self, ids: Tensor) -> Tensor:
        """Return unit features in the order of `ids`, with gradients where these are enabled.  (N, L) -> (N, D)"""
        features = self._by_length(ids) if self.trims else self.model.encode_text(ids)
        return functional.normalize(features, dim=-1)

    def _by_length(self, ids: Tensor) -> Tensor:
        """Encode rows of similar length together: the longest row of a batch is twice the usual.  (N, L) -> (N, D)"""
        order = torch.argsort(eot_lengths(ids), stable=True)
        count = min(_MOST_BUCKETS, max(_FEWEST_BUCKETS, len(ids) // _BUCKET_ROWS))
        buckets = torch.split(order, max(_MIN_BUCKET_ROWS, -(-len(ids) // count))) if len(ids) else (order,)
        parts = [encode_short(self.model, cut(ids[rows])) for rows in buckets]
        return torch.cat(parts)[torch.argsort(order)]

    @torch.inference_mode()
    def encode_all(self, ids: Tensor, *, batch: int = 256, wanted: Tensor | None = None) -> Tensor:
        """Return unit features of any number of rows, in batches of similar length.  (N, L) -> (N, D) float32, CPU

        Args:
            wanted: (N,) bool; a batch without a wanted row is skipped. A wanted row has the same bits as without this
                argument, because its batch is the same; the values of the other rows are not defined.
        """
        device = next(self.model.parameters()).device
        order = torch.argsort(eot_lengths(ids), stable=True)
        batches = [rows for rows in torch.split(order, batch) if wanted is None or bool(wanted[rows].any())]
        parts = [self(ids[rows].to(device)).float().cpu() for rows in batches]
        features = torch.zeros(len(ids), parts[0].shape[1]) if parts else torch.empty(0, 0)
        for rows, part in zip(batches, parts, strict=True):
            features[rows] = part
        return features


def _probe_ids(context_length: int, vocab_size: int) -> Tensor:
    """Return a short and a longer row: SOT, words, EOT (the highest id), padding.  (2, L)"""
    ids = torch.zeros(2, context_length, dtype=torch.long)
    for row, words in enumerate((2, max(3, context_length // 2 - 2))):
        generator = torch.Generator().manual_seed(row)
        ids[row, 0] = vocab_size - 2
        ids[row, 1 : words + 1] = torch.randint(1, vocab_size - 2, (words,), generator=generator)
        ids[row, words + 1] = vocab_size - 1
    return ids


@torch.no_grad()
def _trimming_is_exact(model: Any, context_length: int, vocab_size: int) -> bool:
    if not _could_trim(model) or context_length < 8:
        return False
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    ids = _probe_ids(context_length, vocab_size).to(device)
    whole = functional.normalize(model.encode_text(ids), dim=-1)
    short = functional.normalize(encode_short(model, cut(ids)), dim=-1)
    model.train(was_training)
    return bool((whole - short).abs().max() <= PROBE_TOLERANCE)


def _could_trim(model: Any) -> bool:
    """Return whether the model has the parts that `encode_short` uses and pools at a token independent of padding."""
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final", "attn_mask")
    return all(getattr(model, part, None) is not None for part in parts) and getattr(model, "text_pool_type", "") in (
        "argmax",
        "eos",
    )
