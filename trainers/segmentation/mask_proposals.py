"""Proposals of masks by a model that segments everything (SAM), through transformers' mask-generation pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainers.models.clip_model import hash_of, hash_state
from trainers.segmentation.pretrained import SAM, SAM_MODEL, config_facts, load_pretrained
from trainers.segmentation.proposal_settings import ProposalSettings


class MaskProposer:
    """A loaded model that proposes masks; see `load_proposer`."""

    def __init__(self, name: str, model: Any, processor: Any, settings: ProposalSettings, device: str) -> None:
        from transformers import pipeline  # noqa: PLC0415 -- seconds

        self.name = name
        self.settings = settings
        self._pipeline = pipeline("mask-generation", model=model, image_processor=processor, device=device)
        self.hash = hash_of(
            hash_state(model.state_dict()), config_facts(model.config.to_dict()), config_facts(processor.to_dict())
        )
        """Hash of the weights and the preprocessing."""

    def describe(self) -> Mapping[str, Any]:
        """Return everything that the proposals depend on, apart from the image."""
        return {"proposer": self.hash, **asdict(self.settings)}

    def propose(self, image: Image.Image) -> NDArray[np.bool_]:
        """Return the masks of an image, the best first; none if no mask is good enough.  -> (N, H, W)"""
        proposed = self._pipeline(
            image.convert("RGB"),
            points_per_crop=self.settings.points_per_side,
            pred_iou_thresh=self.settings.pred_iou_thresh,
            stability_score_thresh=self.settings.stability_score_thresh,
            crops_nms_thresh=self.settings.crops_nms_thresh,
        )
        masks = [np.asarray(mask, dtype=bool) for mask in proposed["masks"]]
        masks = [mask for mask in masks if mask.any()]
        return np.stack(masks) if masks else np.zeros((0, image.height, image.width), dtype=bool)


def load_proposer(name: str = SAM, *, settings: ProposalSettings | None = None, device: str = "cpu") -> MaskProposer:
    """Load a mask generation model from a folder, or from the cache of the Hugging Face hub.

    Raises:
        ModelRefused: There are no weights on this machine, or they are incomplete or damaged.
    """
    from transformers import AutoImageProcessor, AutoModelForMaskGeneration  # noqa: PLC0415 -- seconds

    model, processor = load_pretrained(
        AutoModelForMaskGeneration, AutoImageProcessor, name, what=SAM_MODEL, device=device
    )
    return MaskProposer(name, model, processor, settings or ProposalSettings(), device)
