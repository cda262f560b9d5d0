"""The recipes to compare, and the settings that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainers.recipes.recipe import read_recipe
from trainers.settings import AppliedRecipe, TrainSettings

SHARED: Mapping[str, Any] = {"batch": 64, "steps": 400, "patience": None, "threads": 1, "checkpoint_every": 200}
"""Settings of every training. The recipes' own are for CLIP and hundreds of thousands of pairs: 15 epochs of batches of
512 are 15 steps here. Without early stop, all recipes take the same number of steps."""
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
"""Learning rates that are compared for every recipe."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A recipe in the comparison."""

    name: str
    recipe: str
    routed: bool = False
    """Whether the tuned text tower encodes only texts that negate something, and the base model the others."""

    def values(self, *, lr: float, seed: int, shared: Mapping[str, Any] = SHARED) -> dict[str, Any]:
        """Return the settings of one training that differ from the defaults."""
        return {**read_recipe(self.recipe).settings, **shared, "lr": lr, "seed": seed}

    def applied(self, settings: TrainSettings) -> AppliedRecipe:
        """Return the record of the recipe for config.json."""
        names = {*SHARED, "lr", "seed"}
        return read_recipe(self.recipe).applied(settings, dict.fromkeys(names, "comparison of recipes"))


REFERENCE = "negwb"
"""Name of the arm with which the others are compared, paired by seed."""
ARMS = (
    Arm("negationclip", "negationclip"),
    Arm("conclip", "conclip"),
    Arm("negclip", "negclip"),
    Arm("lora", "lora"),
    Arm(REFERENCE, "negwb"),
    Arm("negwb, routed", "negwb", routed=True),
)
