"""Capabilities of a server that the probe tests, under the names that the record stores. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from curation_db.enums import Method


class Capability(StrEnum):
    """A testable capability."""

    MODELS = "models"
    CHAT = "chat"
    PICTURE = "picture"
    """Another image changes the answer."""
    LOGPROBS = "logprobs"
    """Value: {"listed": returned candidates, "top": requested candidates, "tokens": tokens until the first one that is
    not blank, "mass": share of the probability on yes and no}."""
    CHOICE = "choice"
    """`structured_outputs.choice` restricts the answer."""
    JSON_SCHEMA = "json_schema"
    SEED = "seed"
    SAMPLING = "sampling"
    """Answers differ at temperature 1."""
    TEMPERATURE = "temperature"
    TOP_P = "top_p"
    MAX_TOKENS = "max_tokens"
    """Value: the field's name on the server where it is another one."""
    STOP = "stop"
    SYSTEM = "system"
    """System messages are read."""
    THINKING = "thinking"
    """The model thinks before it answers; value: {"off": fields of `options` that switch it off, or null}."""
    DECISION = "decision"
    """/v1/systemone (typed decisions) answers."""
    DECISION_PICTURE = "decision_picture"
    """Typed decisions depend on the image; value: the `PictureShape` that the server reads."""


class Support(StrEnum):
    """Result of a test."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


REFUSED: Final = "refused"
"""Value of a field's capability where the server answers a request with the field by an error."""
ProbedCapabilities = Mapping[str, Any]
"""Name to {"seen", "evidence", "value"}, as `ProbedCapability.to_dict` writes it."""


def support_of(capabilities: ProbedCapabilities | None, name: Capability) -> Support:
    """Return the stored result of a test; unknown where there is none."""
    entry = (capabilities or {}).get(name)
    seen = entry.get("seen") if isinstance(entry, Mapping) else None
    return Support(seen) if seen in set(Support) else Support.UNKNOWN


def is_proved(capabilities: ProbedCapabilities | None, name: Capability) -> bool:
    """Whether the probe proved the capability."""
    return support_of(capabilities, name) is Support.YES


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


def is_blind(configured: str, capabilities: ProbedCapabilities | None) -> bool:
    """Whether the probe proved that images do not change the answers of the method in use."""
    decides = best_method(configured, capabilities, has_image=True) is Method.DECISION
    image = Capability.DECISION_PICTURE if decides else Capability.PICTURE
    return support_of(capabilities, image) is Support.NO
