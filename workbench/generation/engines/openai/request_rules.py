"""How requests are adapted to a server: from the probe's findings, and from the engine's settings, which win. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from curation_db.enums import Method
from workbench.generation.engines.openai.probing.capabilities import (
    REFUSED,
    Capability,
    ProbedCapabilities,
    Support,
    is_proved,
    support_of,
    value_of,
)
from workbench.generation.engines.probabilities import TOP_LOGPROBS
from workbench.workspace.settings.engines import EngineSettings

DEFAULT_THINKING_TOKENS: Final = 2048
"""Tokens for the thought of a reasoning model where the settings name no number."""
MAX_TOKENS: Final = "max_tokens"
MAX_COMPLETION_TOKENS: Final = "max_completion_tokens"
"""The token limit under the name that some hosted models require."""
_FIELDS: Final[Mapping[str, Capability]] = {
    "temperature": Capability.TEMPERATURE,
    "top_p": Capability.TOP_P,
    MAX_TOKENS: Capability.MAX_TOKENS,
    "seed": Capability.SEED,
}


class Constraint(StrEnum):
    """Restriction of the text of a yes-or-no answer to yes and no."""

    CHOICE = "choice"
    JSON_SCHEMA = "json_schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRules:
    """Adaptation of requests to one model of one server."""

    omit: frozenset[str] = frozenset()
    """Fields that are not sent."""
    rename: Mapping[str, str] = field(default_factory=dict)
    merge_system: bool = False
    """Send a system message as the start of the user message that follows it."""
    thinking_tokens: int = 0
    """Tokens that text answers may have in addition to their own."""
    top_logprobs: int = TOP_LOGPROBS
    logprob_tokens: int = 1
    """Tokens of an answer by log-probabilities: those before the first one that is not blank, and that one."""
    constraint: Constraint | None = None

    def constraint_of(self, method: Method) -> Constraint | None:
        """Return the restriction of yes-or-no answers by `method`; it would falsify the mass of log-probabilities."""
        return self.constraint if method in {Method.BARE, Method.SAMPLES} else None

    def applied(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return `fields` under the server's names, without those that it does not take."""
        return {self.rename.get(name, name): value for name, value in fields.items() if name not in self.omit}


def request_rules(settings: EngineSettings, capabilities: ProbedCapabilities | None) -> RequestRules:
    """Return the rules for the server of `settings`.

    Args:
        capabilities: Stored result of the probe; None: never probed.
    """
    rename = _rename(settings, capabilities)
    top, tokens = _logprob_limits(capabilities)
    return RequestRules(
        omit=_omit(settings, capabilities, rename),
        rename=rename,
        merge_system=_merges_system(settings, capabilities),
        thinking_tokens=_thinking_tokens(settings, capabilities),
        top_logprobs=top,
        logprob_tokens=tokens,
        constraint=_constraint(settings, capabilities),
    )


def _rename(settings: EngineSettings, capabilities: ProbedCapabilities | None) -> Mapping[str, str]:
    if settings.rename is not None:
        return settings.rename
    name = value_of(capabilities, Capability.MAX_TOKENS)
    if MAX_COMPLETION_TOKENS in settings.options or name == MAX_COMPLETION_TOKENS:
        return {MAX_TOKENS: MAX_COMPLETION_TOKENS}
    return {}


def _omit(
    settings: EngineSettings, capabilities: ProbedCapabilities | None, rename: Mapping[str, str]
) -> frozenset[str]:
    if settings.omit is not None:
        return frozenset(settings.omit)
    refused = {name for name, capability in _FIELDS.items() if value_of(capabilities, capability) == REFUSED}
    return frozenset(refused - rename.keys())


def _merges_system(settings: EngineSettings, capabilities: ProbedCapabilities | None) -> bool:
    if settings.system == "auto":
        return support_of(capabilities, Capability.SYSTEM) is Support.NO
    return settings.system == "merge"


def _thinking_tokens(settings: EngineSettings, capabilities: ProbedCapabilities | None) -> int:
    if settings.thinking_tokens is not None:
        return settings.thinking_tokens
    return DEFAULT_THINKING_TOKENS if is_proved(capabilities, Capability.THINKING) else 0


def _logprob_limits(capabilities: ProbedCapabilities | None) -> tuple[int, int]:
    """Return the number of candidates and of tokens to request. Probes of earlier versions stored one number."""
    value = value_of(capabilities, Capability.LOGPROBS)
    limits = value if isinstance(value, Mapping) else {}
    top, tokens = (limits.get(name) for name in ("top", "tokens"))
    return top if isinstance(top, int) else TOP_LOGPROBS, tokens if isinstance(tokens, int) else 1


def _constraint(settings: EngineSettings, capabilities: ProbedCapabilities | None) -> Constraint | None:
    if not settings.constrain:
        return None
    if is_proved(capabilities, Capability.CHOICE):
        return Constraint.CHOICE
    return Constraint.JSON_SCHEMA if is_proved(capabilities, Capability.JSON_SCHEMA) else None
