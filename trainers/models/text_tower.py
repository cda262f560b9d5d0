"""Text encoder that trims causal towers pooled at EOT to the longest EOT of a batch.

Positions after EOT cannot reach it through a causal mask, so the result is the same for a fraction of the work. A probe
at load time decides whether this holds for a model, never the model's name; where it does not hold (SigLIP sees both
ways), the whole context is encoded. Imports torch and open_clip only.
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


def text_module(model: Any) -> Any:
    """Return the module that holds the text tower: open_clip's `CLIP` itself, or the part `text` of other models."""
    return getattr(model, "text", model)


def encode_short(model: Any, ids: Tensor) -> Tensor:
    """Encode rows shorter than the context, without normalisation, like open_clip's `encode_text`.  (N, l) -> (N, D)

    open_clip 3.3 rejects such rows; this is its forward pass with positions and mask cut to length.
    """
    text = text_module(model)
    length, dtype = ids.shape[1], text.transformer.get_cast_dtype()
    x = text.token_embedding(ids).to(dtype)  # (N, l, W)
    x = x + text.positional_embedding[:length].to(dtype)
    x = text.transformer(x, attn_mask=text.attn_mask[:length, :length])
    x = text.ln_final(x)
    x = text_global_pool(x, ids, _pool_type(text), eos_token_id=_eos_id(text))  # (N, W)
    projection = text.text_projection
    if projection is not None:
        x = projection(x) if isinstance(projection, nn.Linear) else x @ projection
    return cast(Tensor, x)  # (N, D)


def _pool_type(text: Any) -> str:
    """Return the pooling of a text tower, whose attribute has another name in `CLIP` than in `TextTransformer`."""
    return str(getattr(text, "text_pool_type", getattr(text, "pool_type", "")))


def _eos_id(text: Any) -> int | None:
    return cast("int | None", getattr(text, "text_eos_id", getattr(text, "eos_id", None)))


class TextTower:
    """Encodes token ids with `model`; trims them where the probe shows that trimming is exact."""

    def __init__(self, model: Any, *, context_length: int, vocab_size: int) -> None:
        self.model = model
        self.trims: bool = _trimming_is_exact(model, context_length, vocab_size)
        """Whether rows are cut to the longest EOT of their batch."""

    def __call__(self, ids: Tensor) -> Tensor:
        """Return unit features in the order of `ids`, with gradients where these are enabled.  (N, L) -> (N, D)"""
        features = self._by_length(ids) if self.trims else self.model.encode_text(ids)
        return functional.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=-1)

    def _by_length(self, ids: Tensor) -> Tensor:
        """Encode rows of similar length together: the longest row of a batch is twice the usual.  (N, L) -> (N, D)"""
        order = torch.argsort(eot_lengths(ids), stable=True)
        count = min(_MOST_BUCKETS, max(_FEWEST_BUCKETS, len(ids) // _BUCKET_ROWS))
        buckets = torch.split(order, max(_MIN_BUCKET_ROWS, -(-len(ids) // count))) if len(ids) else (order,)
        parts = [self._encode(cut(ids[rows])) for rows in buckets]
        return torch.cat(parts)[torch.argsort(order)]

    def _encode(self, ids: Tensor) -> Tensor:
        """Encode rows cut to a common length, without normalisation.  (N, l) -> (N, D)"""
        return encode_short(self.model, ids)

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
    if not _could_trim(text_module(model), vocab_size) or context_length < 8:
        return False
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    ids = _probe_ids(context_length, vocab_size).to(device)
    whole = functional.normalize(model.encode_text(ids), dim=-1)
    short = functional.normalize(encode_short(model, cut(ids)), dim=-1)
    model.train(was_training)
    return bool((whole - short).abs().max() <= PROBE_TOLERANCE)


def _could_trim(text: Any, vocab_size: int) -> bool:
    """Return whether the tower has the parts that `encode_short` uses, and pools at the highest id of a row.

    Pooled at another id, a row could be cut before it, which a probe with one row of each length does not show.
    """
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final", "attn_mask")
    if any(getattr(text, part, None) is None for part in parts) or getattr(text, "cls_emb", None) is not None:
        return False
    return _pool_type(text) == "argmax" or (_pool_type(text) == "eos" and _eos_id(text) == vocab_size - 1)
