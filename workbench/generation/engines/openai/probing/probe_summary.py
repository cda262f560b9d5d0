"""What the findings of a probe mean for requests and judges, in one line each. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from curation_db.enums import Method
from workbench.generation.engines.openai.probing.capabilities import (
    Capability,
    ProbedCapabilities,
    best_method,
    is_blind,
    is_proved,
    value_of,
)
from workbench.generation.engines.openai.request_rules import Constraint, RequestRules, request_rules
from workbench.workspace.settings.engines import EngineSettings

_METHODS: Final[Mapping[Method, str]] = {
    Method.LOGPROBS: "log-probabilities",
    Method.DECISION: "typed decisions",
    Method.SAMPLES: "the share of yes among sampled answers",
    Method.BARE: "none: a plain yes or no is not a probability",
}
_CONSTRAINTS: Final[Mapping[Constraint, str]] = {
    Constraint.CHOICE: "structured_outputs.choice",
    Constraint.JSON_SCHEMA: "a JSON schema",
}


def probe_summary(settings: EngineSettings, capabilities: ProbedCapabilities) -> list[str]:
    """Return the lines for an engine with these settings."""
    method = best_method(settings.method, capabilities, has_image=True)
    rules = request_rules(settings, capabilities)
    lines = [f"probabilities come from: {_METHODS[method]}"]
    mass = _mass(capabilities)
    if method is not Method.LOGPROBS and mass is not None and not is_proved(capabilities, Capability.LOGPROBS):
        lines.append(f"log-probabilities are not used: only {mass:.2f} of the probability is on yes and no")
    if is_blind(settings.method, capabilities):
        lines.append("the model does not see images: it is refused as a judge of images, unless --allow-blind insists")
    if is_proved(capabilities, Capability.THINKING):
        lines.append(_thinking(capabilities, rules))
    return [*lines, *_adaptations(rules, method)]


def rules_json(rules: RequestRules) -> dict[str, Any]:
    """Return the adaptation of requests as JSON values."""
    return {
        "omit": sorted(rules.omit),
        "rename": dict(rules.rename),
        "system": "merge" if rules.merge_system else "keep",
        "thinking_tokens": rules.thinking_tokens,
        "top_logprobs": rules.top_logprobs,
        "logprob_tokens": rules.logprob_tokens,
        "constraint": rules.constraint,
    }


def toml_value(value: Any) -> str:
    """Return a table, text, number or truth value as negwb.toml takes it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {toml_value(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)


def _mass(capabilities: ProbedCapabilities) -> float | None:
    value = value_of(capabilities, Capability.LOGPROBS)
    mass = value.get("mass") if isinstance(value, Mapping) else None
    return float(mass) if isinstance(mass, int | float) else None


def _thinking(capabilities: ProbedCapabilities, rules: RequestRules) -> str:
    value = value_of(capabilities, Capability.THINKING)
    switch = value.get("off") if isinstance(value, Mapping) else None
    line = f"reasoning model: answers may have {rules.thinking_tokens:,} more tokens for the thought (thinking_tokens)"
    if not isinstance(switch, Mapping):
        return line
    return f"{line}; to switch it off: options = {toml_value(switch)} in negwb.toml, then probe again"


def _adaptations(rules: RequestRules, method: Method) -> Iterator[str]:
    if rules.omit:
        yield f"left out of requests: {', '.join(sorted(rules.omit))}"
    for name, other in rules.rename.items():
        yield f"{name} is sent as {other}"
    if rules.merge_system:
        yield "system messages are sent as the start of the user's message"
    if method is Method.LOGPROBS and rules.logprob_tokens > 1:
        yield f"yes and no are read from token {rules.logprob_tokens}: the ones before it are blank"
    if (constraint := rules.constraint_of(method)) is not None:
        yield f"yes-or-no answers are restricted by {_CONSTRAINTS[constraint]}"
