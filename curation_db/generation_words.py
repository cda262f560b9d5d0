"""The closed vocabularies of generating, used everywhere the same. Imports nothing but the standard library."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """A step of a pipeline that asks a model something (DESIGN section 8)."""

    PROPOSE = "propose"
    """Which concept could be missing."""
    PRESENCE = "presence"
    """Is the concept in the picture?"""
    PRIOR = "prior"
    """The same question about a blank picture: what the judge says without looking."""
    REWRITE = "rewrite"
    """The caption with the denial in it."""
    ACCEPTABLE = "acceptable"
    """Is the whole caption true and well formed?"""


class Method(StrEnum):
    """Where a probability came from, best first."""

    LOGPROBS = "logprobs"
    """Log-probabilities of the answer's first token, summed over the beginnings of yes and no."""
    DECISION = "decision"
    """A typed decision of the server (`/v1/systemone`)."""
    SAMPLES = "samples"
    """The share of yes among k sampled answers."""
    BARE = "bare"
    """One answer in words."""
    SCORE = "score"
    """A score that is no answer in words: CLIP's margin, an annotation."""


class AnswerStatus(StrEnum):
    """Where a question to a model stands."""

    PENDING = "pending"
    """Written into a file for a batch farm; no answer came back yet."""
    OK = "ok"
    FAILED = "failed"
    """No usable answer came; asked again when the item is tried again."""


class ItemStatus(StrEnum):
    """What became of a caption or a question that went into a pipeline."""

    KEPT = "kept"
    """A candidate came of it."""
    DROPPED = "dropped"
    """It went through the pipeline, and nothing came of it."""
    FAILED = "failed"
    """A model did not answer, or the picture is not there: tried again with --retry."""


class GenerationState(StrEnum):
    """Where a run of `negwb generate` stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """By a person, by a budget, or at a limit: the same command goes on."""
    FAILED = "failed"
    """By an engine that cannot be reached, or a bug."""


class StopReason(StrEnum):
    """Why a run of `negwb generate` stopped before its end."""

    BUDGET = "budget"
    """It reached a cap on requests, tokens or cost."""
    REQUEST = "request"
    """A person or a signal stopped it."""
