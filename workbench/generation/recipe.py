"""The settings that decide what comes out of a generation; their hash names what was done with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from curation_db.words import Question


class Pipeline(StrEnum):
    """Which way candidates are made (Know "No" Better, section on data generation)."""

    P1 = "P1"
    """Object absence: a concept that the caption does not name, found absent, denied."""
    P2 = "P2"
    """Diversity: a question that people answered with no, merged into the caption."""


class Rule(StrEnum):
    """When the judges together call a concept present."""

    MEAN = "mean"
    """The mean of P(present) over the judges that said yes or no is at least the threshold."""
    ANY = "any"
    """One of them says so."""
    ALL = "all"
    """All of them that said yes or no say so."""
    OFFICIAL = "official"
    """The published rule, for comparison: present iff "yes" is in the answer in lower case; everything else, an answer
    that is neither included, counts as absent; a caption whose concept is present is dropped."""


class Mix(StrEnum):
    """Which cues and positions the rewrites are asked for."""

    BALANCED = "balanced"
    NEGREFCOCOG = "negrefcocog"
    """The benchmark's own spread. Trained on, it favours the benchmark: so it is named in the manifest."""
    FREE = "free"
    """Whatever the model writes (the published prompts ask for none)."""


class Unclear(StrEnum):
    """What happens to a concept about which no judge said yes or no. It never counts as absent."""

    KEEP = "keep"
    """It becomes a candidate: a person decides."""
    DROP = "drop"


class Prior(StrEnum):
    """What is done about what a judge says of a blank picture."""

    OFF = "off"
    STORE = "store"
    """It is asked and kept beside each verdict."""
    CORRECT = "correct"
    """The rule also sees logit P(present) minus the prior's; the verdict keeps both numbers as they were said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Somebody who judges."""

    name: str
    """Of an engine in the settings, or "annotations"."""
    questions: frozenset[Question] = frozenset({Question.PRESENT, Question.ACCEPTABLE})


ANNOTATIONS = "annotations"
"""The judge that looks into the record: annotated objects, sibling captions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a generation does to each caption or question."""

    pipeline: Pipeline = Pipeline.P1
    prompts: str
    """Version of the prompt set, with its hash."""
    proposer: str
    """Name of the engine that proposes and rewrites."""
    judges: tuple[Judge, ...] = ()
    rule: Rule = Rule.MEAN
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
