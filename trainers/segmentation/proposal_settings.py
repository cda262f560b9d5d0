"""Settings of mask proposals. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProposalSettings:
    """Settings of the mask generation pipeline; the defaults are those of transformers."""

    points_per_side: int = 32
    """Points of the grid along each side of the image; each point asks for the masks around it."""
    pred_iou_thresh: float = 0.88
    """A mask needs this quality by the model's own estimate, 0..1."""
    stability_score_thresh: float = 0.95
    """A mask must change so little when its threshold moves, 0..1."""
    crops_nms_thresh: float = 0.7
    """Of two masks whose boxes overlap more (IoU), the better one is kept."""
