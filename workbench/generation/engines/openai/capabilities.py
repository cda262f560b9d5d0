"""Capabilities of a server that the probe tests, under the names that the record stores. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from curation_db.enums import Method


class Capability(StrEnum):
    """A testable capability."""

    MODELS = "models"
    CHAT = "chat"
    PICTURE = "picture"
    """Another image changes the answer."""
    LOGPROBS = "logprobs"
    """Value: number of log-probabilities returned when 20 are requested."""
    CHOICE = "choice"
    """`structured_outputs.choice` restricts the answer."""
    JSON_SCHEMA = "json_schema"
    SEED = "seed"
    SAMPLING = "sampling"
    """Answers differ at temperature 1."""
    MAX_TOKENS = "max_tokens"
    STOP = "stop"
    DECISION = "decision"
    """/v1/systemone (typed decisions) answers."""
    DECISION_PICTURE = "decision_picture"
    """Typed decisions depend on the image; value: the `PictureShape` that the server reads."""


class Support(StrEnum):
    """Result of a test."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


ProbedCapabilities = Mapping[str, Any]
"""Name to {"seen", "evidence", "value"}, as `ProbedCapability.to_dict` writes it."""


def is_proved(capabilities: ProbedCapabilities | None, name: Capability) -> bool:
    """Whether the probe proved the capability."""
    entry = (capabilities or {}).get(name)
    return isinstance(entry, Mapping) and entry.get("seen") == Support.YES


def value_of(capabilities: ProbedCapabilities | None, name: Capability) -> Any:
    """Return the value that the probe stored for the capability."""
    entry = (capabilities or {}).get(name)
    return entry.get("value") if isinstance(entry, Mapping) else None


def best_method(configured: str, capabilities: ProbedCapabilities | None, *, has_image: bool) -> Method:
    """Return the method for yes-or-no requests: the configured one, or for "auto" the best proved one.

    Order: log-probabilities, typed decisions, samples, bare answer.

    Args:
        configured: `method` of the engine's settings.
        capabilities: Stored result of the probe; None: never probed.
        has_image: Whether the request has an image; typed decisions must then be proved to depend on it.
    """
    if configured != "auto":
        return Method(configured)
    if is_proved(capabilities, Capability.LOGPROBS):
        return Method.LOGPROBS
    if is_proved(capabilities, Capability.DECISION_PICTURE if has_image else Capability.DECISION):
        return Method.DECISION
    return Method.SAMPLES if is_proved(capabilities, Capability.SAMPLING) else Method.BARE
