"""What a server was seen to honour, by the names under which the record keeps it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from curation_db.enums import Method


class Capability(StrEnum):
    """What can be seen of a server."""

    MODELS = "models"
    CHAT = "chat"
    PICTURE = "picture"
    """Another picture changes what it says."""
    LOGPROBS = "logprobs"
    """Value: how many tokens come back when 20 are asked for."""
    CHOICE = "choice"
    """`structured_outputs.choice` binds."""
    JSON_SCHEMA = "json_schema"
    SEED = "seed"
    SAMPLING = "sampling"
    """At temperature 1 answers differ."""
    MAX_TOKENS = "max_tokens"
    STOP = "stop"
    DECISION = "decision"
    """/v1/systemone answers."""
    DECISION_PICTURE = "decision_picture"
    """... and sees the picture; value: the `PictureShape` in which it does."""


class Support(StrEnum):
    """Whether."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


ProbedCapabilities = Mapping[str, Any]
"""Name to {"seen", "evidence", "value"}, as `Feature.to_dict` writes it."""


def is_proved(features: ProbedCapabilities | None, name: Capability) -> bool:
    """Whether it was seen to be honoured."""
    told = (features or {}).get(name)
    return isinstance(told, Mapping) and told.get("seen") == Support.YES


def value_of(features: ProbedCapabilities | None, name: Capability) -> Any:
    """What else was seen of it."""
    told = (features or {}).get(name)
    return told.get("value") if isinstance(told, Mapping) else None


def best_method(wish: str, features: ProbedCapabilities | None, *, pictured: bool) -> Method:
    """Where a probability is to come from: `wish` unless it is auto, else the best that the server proved.

    `pictured`: the question is about a picture, so that a way which does not see pictures is none.
    """
    if wish != "auto":
        return Method(wish)
    if is_proved(features, Capability.LOGPROBS):
        return Method.LOGPROBS
    if is_proved(features, Capability.DECISION_PICTURE if pictured else Capability.DECISION):
        return Method.DECISION
    return Method.SAMPLES if is_proved(features, Capability.SAMPLING) else Method.BARE
