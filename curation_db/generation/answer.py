"""The answer of a model to one request; shared by engines, pipelines and the record. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from curation_db.enums import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """The answer of a model to one request, or the reason why there is none."""

    text: str = ""
    """The raw text of the model; untrusted wherever it is shown or stored."""
    p: float | None = None
    """P(yes) for a yes/no request; None: the answer was neither (unclear, which never counts as "no")."""
    label_mass: float | None = None
    """Total probability of the yes and no tokens."""
    method: Method | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    """In the currency of the engine's prices."""
    latency_ms: float | None = None
    tries: int = 1
    """Number of requests sent."""
    error: str = ""
    """Error code where there is no answer; empty otherwise."""
    detail: str = ""
    """Details of the error, one line."""

    @property
    def failed(self) -> bool:
        """Whether there is no answer."""
        return bool(self.error)
