"""What determines an engine's answers beside the request: its model, and the settings marked with `Answers`. Pure.

The key of an answer in the cache and the hash of a recipe are computed from the same values, so that a run processes an
item again if and only if a setting that changes its answers has changed. A setting with an empty default (none, false,
"", () or {}) is left out where it has its default: a new setting with such a default changes no key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import partial
from typing import Any, Final, cast

from curation_db.enums import Method, Stage
from workbench.generation.engines.http.credentials import Secrets, known_secrets
from workbench.generation.engines.openai.probing.capabilities import ProbedCapabilities, best_method
from workbench.generation.engines.openai.request_rules import RequestRules, request_rules
from workbench.generation.engines.protocol import Engine
from workbench.generation.engines.requests import AnswerFormat, ModelRequest
from workbench.workspace.settings.engines import Answers, EngineSettings

_ONLY_METHOD: Final[Mapping[str, Method]] = {"transformers": Method.LOGPROBS, "clip": Method.SCORE}
"""Method of the engine kinds that have a single one."""
_AUTO: Final = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKind:
    """Properties of a request that decide which settings change its answer."""

    yes_no: bool
    image: bool
    raw: bool = False
    """Whether its prompt is published as one string."""
    presence: bool = False
    """Whether it asks for the presence of a concept."""

    @classmethod
    def of(cls, request: ModelRequest) -> RequestKind:
        """Return the kind of a request."""
        return cls(
            yes_no=request.answer_format is AnswerFormat.YES_NO,
            image=request.picture is not None,
            raw=request.raw is not None,
            presence=request.stage is Stage.PRESENCE,
        )


SettingsInUse = Callable[[RequestKind], Mapping[str, Any]]
"""Values that an engine uses in place of those of its settings, and further ones that change its answers."""


@dataclass(frozen=True, slots=True)
class AnswerIdentity:
    """Model and settings of an engine that determine its answers."""

    model: str
    settings: EngineSettings
    in_use: SettingsInUse = lambda kind: {}
    _known: dict[RequestKind, Mapping[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, engine: Engine, settings: EngineSettings) -> AnswerIdentity:
        """Return the identity of an opened engine. An engine whose method depends on a probe, or that uses other values
        than its settings, has a method `answer_settings` of the type `SettingsInUse`."""
        own = getattr(engine, "answer_settings", None)
        in_use = cast(SettingsInUse, own) if callable(own) else partial(settings_in_use, settings, None)
        return cls(engine.model, settings, in_use)

    def settings_for(self, kind: RequestKind) -> Mapping[str, Any]:
        """Return the settings that change the answers to requests of `kind`, as JSON values without secrets."""
        if kind not in self._known:  # they are the same for all requests of a run
            self._known[kind] = self._settings_for(kind)
        return self._known[kind]

    def _settings_for(self, kind: RequestKind) -> dict[str, Any]:
        in_use = {"model": self.model, **self.in_use(kind)}
        values = {each.name: getattr(self.settings, each.name) for each in fields(self.settings)} | in_use
        affects = {each.name: each.metadata.get("answers", Answers.ALL) for each in fields(self.settings)}
        empty = {each.name: default for each in fields(self.settings) if _is_empty(default := _default(each))}
        method = str(values["method"])
        secrets = Secrets(known_secrets(self.settings))
        return {
            name: _json_value(value) if name == "model" else secrets.mask_content(_json_value(value))
            for name, value in sorted(values.items())
            if not (name in empty and value == empty[name]) and _changes(affects.get(name, Answers.ALL), kind, method)
        }

    def key(self, request: ModelRequest) -> bytes:
        """Return the answer cache's key of a request to this engine."""
        return request.key(self.model, self.settings_for(RequestKind.of(request)))


def settings_in_use(
    settings: EngineSettings, capabilities: ProbedCapabilities | None, kind: RequestKind
) -> dict[str, Any]:
    """Return the values that an engine with these settings uses in place of them: the method for "auto", and the
    adaptation of requests to what the probe found.

    Args:
        capabilities: Stored result of the probe; None: never probed.
    """
    if settings.kind == "openai":
        method = best_method(settings.method, capabilities, has_image=kind.image) if kind.yes_no else None
        return sent_settings(request_rules(settings, capabilities), method)
    only = _ONLY_METHOD.get(settings.kind)
    return {} if only is None or not kind.yes_no else {"method": str(only)}


def sent_settings(rules: RequestRules, method: Method | None) -> dict[str, Any]:
    """Return the values that a server's engine uses in place of its settings.

    Args:
        method: Source of the probability; None: the request is no yes-or-no question.
    """
    values: dict[str, Any] = {
        "omit": sorted(rules.omit) or None,
        "rename": dict(rules.rename) or None,
        "system": "merge" if rules.merge_system else "keep",
        "thinking_tokens": rules.thinking_tokens or None,
    }
    if method is None:
        return values
    values |= {"method": str(method), "constrain": rules.constraint_of(method)}
    if method is Method.LOGPROBS:
        values |= {"top_logprobs": rules.top_logprobs, "logprob_tokens": rules.logprob_tokens}
    return values


def _changes(answers: Answers, kind: RequestKind, method: str) -> bool:
    match answers:
        case Answers.NONE:
            return False
        case Answers.ALL:
            return True
        case Answers.WITH_IMAGE:
            return kind.image
        case Answers.YES_NO:
            return kind.yes_no
        case Answers.SAMPLED:  # an engine of another package resolves "auto" by itself
            return kind.yes_no and method in {Method.SAMPLES, _AUTO}
        case Answers.RAW_PROMPT:
            return kind.raw


def _default(setting: Field[Any]) -> Any:
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


def _is_empty(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, str | Mapping | list | tuple) and not value)


def _json_value(value: Any) -> Any:
    """Return a value of a TOML file as a JSON value; dates and numbers that JSON lacks become text."""
    if isinstance(value, Mapping):
        return {str(name): _json_value(each) for name, each in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else json.dumps(value, default=str)
