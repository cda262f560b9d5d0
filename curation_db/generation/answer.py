"""What a model said, or why it did not: the word that engines, pipelines and the record share. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from curation_db.enums import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What a model said, or why it did not."""

    text: str = ""
    """Its words, raw: nothing that shows or stores them may trust them."""
    p: float | None = None
    """P(yes) where a yes or no was asked for; None: neither was said (unclear, which is never "no")."""
    label_mass: float | None = None
    """How much of the probability yes and no had together."""
    method: Method | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    """In the currency of the engine's prices."""
    latency_ms: float | None = None
    tries: int = 1
    """Requests that were sent for it."""
    error: str = ""
    """A word for why there is no answer; empty: there is one."""
    detail: str = ""
    """More about the error, one line."""

    @property
    def failed(self) -> bool:
        """Whether there is no answer."""
        return bool(self.error)
