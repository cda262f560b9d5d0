"""The settings that decide what comes out of a generation; their hash names what was done with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.workspace.engine_settings import JudgeRule, JudgeSettings, Mix, Pipeline, Prior, Unclear


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a generation does to each caption or question."""

    pipeline: Pipeline = Pipeline.P1
    prompts: str
    """Version of the prompt set, with its hash."""
    proposer: str
    """Name of the engine that proposes and rewrites."""
    judges: tuple[JudgeSettings, ...] = ()
    rule: JudgeRule = JudgeRule.MEAN
    threshold: float = 0.5
    attempts: int = 3
    """Concepts that are proposed for a caption until one is not present."""
    rewrites: int = 2
    """Rewrites that are asked for until the checks find nothing serious."""
    mix: Mix = Mix.BALANCED
    random_concept: bool = False
    """The ablation arm: any object, not one that is likely there."""
    unclear: Unclear = Unclear.KEEP
    prior: Prior = Prior.OFF
    least_label_mass: float = 0.5
    """With less of the probability on yes and no together, the answer is unclear."""
    seed: int = 0
    models: Mapping[str, str] = field(default_factory=dict)
    """Engine name to what it runs; filled in when the engines are open."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, the same for equal recipes."""
        return {
            "pipeline": str(self.pipeline),
            "prompts": self.prompts,
            "proposer": self.proposer,
            "judges": [{"name": judge.name, "questions": sorted(judge.questions)} for judge in self.judges],
            "rule": str(self.rule),
            "threshold": self.threshold,
            "attempts": self.attempts,
            "rewrites": self.rewrites,
            "mix": str(self.mix),
            "random_concept": self.random_concept,
            "unclear": str(self.unclear),
            "prior": str(self.prior),
            "least_label_mass": self.least_label_mass,
            "seed": self.seed,
            "models": dict(sorted(self.models.items())),
        }

    @property
    def hash(self) -> str:
        """Twelve hex digits that name it."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]
