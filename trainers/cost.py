"""The cost of a training, extrapolated from a few measured steps. Does not import torch.

`cost_probe` measures; screens and commands read cost.json.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from curation_db.atomic_write import replace_file
from curation_db.foreign_json import JsonError, parse_json
from curation_db.validation import ValidationError, validate
from trainers.errors import TrainerError

COST = "cost.json"
"""File in the folder of a probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """Measured times of single operations, and how often a whole training needs them."""

    load_s: float
    """Loading the model."""
    images: int
    """All images of the export and of the replay pool."""
    missing_images: int
    """Images whose features are not stored yet, estimated from a sample."""
    image_s: float
    """One image: reading, decoding, encoding."""
    pairs: int
    """Training pairs."""
    batch: int
    """Rows of a full batch, replay included."""
    steps: int
    step_s: float
    """One step with a full batch."""
    validations: int
    """Validations, of the base model and of the saved model included."""
    texts: int
    """Texts that are encoded outside of the steps: by the validations, and to find hard images."""
    text_s: float
    """One such text."""

    @property
    def features_s(self) -> float:
        """Seconds before the first step, for image features."""
        return self.missing_images * self.image_s

    @property
    def steps_s(self) -> float:
        return self.steps * self.step_s

    @property
    def texts_s(self) -> float:
        """Seconds for validations, without their matrix products."""
        return self.texts * self.text_s

    @property
    def total_s(self) -> float:
        """Seconds of the whole training; early stopping can make it shorter."""
        return self.load_s + self.features_s + self.steps_s + self.texts_s


def missing_of(images: int, *, sampled: int, computed: int) -> int:
    """Estimate how many images still need a feature after a sample.

    Args:
        images: number of images.
        sampled: number of images in a random sample; their features are stored now.
        computed: number of images of the sample whose features had to be computed.
    """
    return round((images - sampled) * computed / sampled) if sampled else 0


def write_cost(folder: Path, cost: TrainingCost) -> None:
    replace_file(folder / COST, json.dumps(asdict(cost), allow_nan=False) + "\n")


def read_cost(folder: Path) -> TrainingCost:
    """Read the measurement of the probe in `folder`.

    Raises:
        TrainerError: there is none, or it is damaged.
    """
    try:
        return validate(parse_json((folder / COST).read_bytes()), TrainingCost)
    except OSError as error:
        raise TrainerError("the cost was not measured") from error
    except (JsonError, ValidationError) as error:
        raise TrainerError(f"{COST} is damaged: {error}") from error
