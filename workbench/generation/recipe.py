"""Settings that determine the output of a generation; their hash identifies the items that were processed with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.workspace.settings.engines import Edits, JudgeRule, JudgeSettings, Mix, Pipeline, Prior, Unclear


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Processing of each caption or question."""

    pipeline: Pipeline = Pipeline.P1
    prompts: str
    """Version of the prompt set: name@hash."""
    proposer: str
    """Name of the engine that proposes concepts and rewrites captions."""
    judges: tuple[JudgeSettings, ...] = ()
    rule: JudgeRule = JudgeRule.MEAN
    threshold: float = 0.5
    attempts: int = 3
    """Most concepts that are proposed for a caption until one is absent."""
    rewrites: int = 2
    """Most rewrites that are requested until one passes the checks."""
    mix: Mix = Mix.BALANCED
    edits: Edits = Edits.MINIMAL
    random_concept: bool = False
    """Ablation: propose any object, not one that is likely in the image."""
    unclear: Unclear = Unclear.KEEP
    prior: Prior = Prior.OFF
    least_label_mass: float = 0.5
    """Below this P(yes) + P(no) an answer is unclear."""
    seed: int = 0
    models: Mapping[str, str] = field(default_factory=dict)
    """Engine name to model name; known when the engines are open."""
    engines: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Engine name to stage to the engine's settings that change its answers; known when the engines are open."""

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON values; equal recipes give equal values."""
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
            "edits": str(self.edits),
            "random_concept": self.random_concept,
            "unclear": str(self.unclear),
            "prior": str(self.prior),
            "least_label_mass": self.least_label_mass,
            "seed": self.seed,
            "models": dict(sorted(self.models.items())),
            "engines": {
                name: {stage: dict(settings) for stage, settings in sorted(stages.items())}
                for name, stages in sorted(self.engines.items())
            },
        }

    @property
    def hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the recipe's JSON."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]
