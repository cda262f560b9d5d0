"""Training objectives: pure functions of unit features, without rank or device logic."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def same_image(images: Tensor) -> Tensor:
    """Return the mask of distinct rows that share an image.  (N,) ids -> (N, N) bool"""
    return (images[:, None] == images[None, :]) & ~torch.eye(len(images), dtype=torch.bool, device=images.device)


def same_image_across(images: Tensor, replay: int) -> Tensor:
    """Return the mask of pairs of a negated text and a replayed caption that share an image.

    Args:
        images: number of each row's image; the last `replay` rows are replayed.  (N,)

    Returns:
        (N, N) bool
    """
    replayed = torch.arange(len(images), device=images.device) >= len(images) - replay
    return same_image(images) & (replayed[:, None] != replayed[None, :])


def info_nce(
    images: Tensor,
    texts: Tensor,
    scale: Tensor,
    *,
    mask: Tensor | None = None,
    hard: Tensor | None = None,
    no_hard: Tensor | None = None,
    false_texts: Tensor | None = None,
) -> Tensor:
    """Symmetric InfoNCE: mean cross-entropy of image -> text and text -> image (CLIP, arXiv 2103.00020, fig. 3).

    Args:
        images: unit features.  (N, D)
        texts: unit features of the matching texts.  (N, D)
        scale: exp(logit_scale).
        mask: pairs that are not negatives.  (N, N) bool, False on the diagonal
        hard: further images, negatives of the first n texts only (text -> image).  (n, K, D)
        no_hard: places in `hard` without an image.  (n, K) bool
        false_texts: further texts, negatives of every image (image -> text), as the negative captions of NegCLIP
            (arXiv 2210.01936).  (M, D)
    """
    logits = scale * images @ texts.T  # (N, N)
    if mask is not None:
        logits = logits.masked_fill(mask, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    by_text = logits.T if hard is None else _with_hard(logits.T, texts, scale, hard, no_hard)  # (N, N or N + K)
    by_image = logits if false_texts is None else torch.cat([logits, scale * images @ false_texts.T], dim=1)
    return (functional.cross_entropy(by_image, target) + functional.cross_entropy(by_text, target)) / 2


def _with_hard(by_text: Tensor, texts: Tensor, scale: Tensor, hard: Tensor, no_hard: Tensor | None) -> Tensor:
    """Return the text -> image logits with K further columns, -inf for the texts without hard images."""
    rows, count = hard.shape[:2]
    further = scale * torch.einsum("nd,nkd->nk", texts[:rows], hard)  # (n, K)
    if no_hard is not None:
        further = further.masked_fill(no_hard, float("-inf"))
    empty = further.new_full((len(by_text) - rows, count), float("-inf"))
    return torch.cat([by_text, torch.cat([further, empty])], dim=1)


def con_clip(images: Tensor, texts: Tensor, scale: Tensor, *, affirmed: int, mask: Tensor | None = None) -> Tensor:
    """Loss of CoN-CLIP (arXiv 2403.20312): the mean of three cross-entropies, each over all rows.

    These are affirmed image -> text, affirmed text -> image, and image of a negated text -> text; a negated text is no
    query. So an image that shows a thing has to prefer its caption to the negated texts, and an image without the thing
    has to prefer its negated text. Where no row affirms, the first two are 0.

    Args:
        images: unit features.  (N, D)
        texts: unit features of the matching texts; those of the last `affirmed` rows affirm.  (N, D)
        scale: exp(logit_scale).
        affirmed: number of the rows with an affirmative text, 0 <= affirmed < N.
        mask: pairs that are not negatives.  (N, N) bool, False on the diagonal
    """
    logits = scale * images @ texts.T  # (N, N)
    if mask is not None:
        logits = logits.masked_fill(mask, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    first = len(logits) - affirmed
    negated = functional.cross_entropy(logits[:first], target[:first])
    if not affirmed:
        return negated / 3
    by_image = functional.cross_entropy(logits[first:], target[first:])
    by_text = functional.cross_entropy(logits.T[first:], target[first:])
    return (by_image + by_text + negated) / 3


def drift(texts: Tensor, base: Tensor) -> Tensor:
    """Return the drift of unit features from the base model: mean of 1 - cos.  (N, D), (N, D) -> ()"""
    return (1 - (texts * base).sum(dim=-1)).mean()
