"""Probe of a server's capabilities: many servers answer 200 and ignore a parameter.

Each capability is proved by the content of the answer, never by the status alone: a forced choice of unlikely words
must be made, another image must change the answer, another seed must change the text. It takes about 20 small requests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure, open_client
from workbench.generation.engines.http.errors import plain_line, server_message
from workbench.generation.engines.http.stop_reasons import access_error, connection_error
from workbench.generation.engines.image_payload import EncodedImage, grey_url
from workbench.generation.engines.openai import typed_decisions
from workbench.generation.engines.openai.calls import CHAT
from workbench.generation.engines.openai.capabilities import Capability, Support
from workbench.generation.engines.openai.engine import check
from workbench.generation.engines.openai.models_endpoint import model_ids
from workbench.generation.engines.openai.request_body import encoded, messages
from workbench.generation.engines.openai.response import ResponseProblem, parse_body, token_counts
from workbench.generation.engines.probabilities import TOP_LOGPROBS, first_tokens, from_decision, from_tokens
from workbench.generation.engines.requests import Message
from workbench.workspace.engine_settings import EngineSettings
from workbench.workspace.server_address import plain_url

_UNLIKELY_WORDS: Final = ("zq", "qz")
"""Answers that no model gives unless it is forced to."""
_COUNT_PROMPT: Final = "Count from one to twelve in words, separated by commas."
_TELL_PROMPT: Final = "Tell me one thing about anything you like, in one sentence."
_COLOUR_PROMPT: Final = "Is this picture white? Answer only with 'yes' or 'no'."
_DESCRIBE_PROMPT: Final = "Which colour is this picture? Answer with one word."
_IMAGE_SIDE: Final = 224
_MIN_SIGNAL_TO_NOISE: Final = 10.0
"""Least ratio of the difference between two images to the difference between two requests about one image."""
_MIN_DIFFERENCE: Final = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedCapability:
    """Test result of one capability."""

    name: Capability
    seen: Support
    evidence: str
    """One line."""
    value: Any = None

    def __str__(self) -> str:
        return f"{self.name:<17}{self.seen:<8} {self.evidence}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON values that the record stores."""
        return {"seen": str(self.seen), "evidence": self.evidence, "value": self.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """Test results of one model on one server."""

    url: str
    """Address without user name and password, as stored in the record."""
    model: str
    capabilities: tuple[ProbedCapability, ...]

    def __str__(self) -> str:
        return "\n".join((f"{self.url}  {self.model}", *(f"  {feature}" for feature in self.capabilities)))

    def to_dict(self) -> dict[str, Any]:
        """Return capability names with the JSON values that the record stores."""
        return {str(feature.name): feature.to_dict() for feature in self.capabilities}


async def probe(settings: EngineSettings, *, budget: Budget | None = None) -> ProbeReport:
    """Test the capabilities of the server of `settings`.

    Raises:
        UsageError: invalid settings, or no model is named and the server does not list exactly one.
        EngineStopped: the server cannot be reached, or refuses access.
        BudgetReached: the next request would exceed a cap.
    """
    check(settings)
    async with open_client(settings) as client:
        prober = _Prober(settings, client, budget or Budget())
        listed = await prober.models()
        features = [listed, await prober.chat()]
        if features[-1].seen is Support.YES:
            features += [await prober.max_tokens(), await prober.stop(), await prober.logprobs()]
            features += [await prober.choice(), await prober.json_schema(), *await prober.sampling()]
            features.append(await prober.picture())
        else:
            features += [
                _unknown(name, "no chat completions") for name in Capability if name not in _INDEPENDENT_OF_CHAT
            ]
        features += await prober.typed()
        return ProbeReport(url=plain_url(settings.url), model=prober.model, capabilities=tuple(features))


_INDEPENDENT_OF_CHAT: Final = frozenset(
    {Capability.MODELS, Capability.CHAT, Capability.DECISION, Capability.DECISION_PICTURE}
)


class _Prober:
    def __init__(self, settings: EngineSettings, client: HttpClient, budget: Budget) -> None:
        self.model = settings.model
        self._settings = settings
        self._client = client
        self._budget = budget
        self._counting = ""
        """Answer to `_COUNT_PROMPT`."""

    async def models(self) -> ProbedCapability:
        reply = await self._client.get("/models")
        if isinstance(reply, TransportFailure):
            raise connection_error(self._settings, reply.detail)
        if reply.status in {401, 403}:
            raise access_error(self._settings, reply, self._client.key)
        listed = model_ids(reply)
        if not self.model and len(listed) != 1:
            hint = "set model to one of: " + ", ".join(listed[:8]) if listed else "set model = ..."
            raise UsageError(
                f"[engines.{self._settings.name}] names no model, and the server lists {len(listed)}", hint=hint
            )
        self.model = self.model or listed[0]
        if not listed:
            return _no(Capability.MODELS, f"no list: {reply.status}")
        missing = "" if self.model in listed else f"; {display_text(self.model, limit=60)} is missing"
        return _yes(Capability.MODELS, f"lists {len(listed)}: {', '.join(listed[:3])}{missing}", len(listed))

    async def chat(self) -> ProbedCapability:
        completion = await self._complete(_COUNT_PROMPT, max_tokens=64)
        if isinstance(completion, str):
            return _no(Capability.CHAT, completion)
        self._counting = completion.text
        return _yes(Capability.CHAT, f"answered {_quoted(completion.text)}")

    async def max_tokens(self) -> ProbedCapability:
        completion = await self._complete(_COUNT_PROMPT, max_tokens=2)
        if isinstance(completion, str):
            return _unknown(Capability.MAX_TOKENS, completion)
        if len(self._counting.split()) <= 4:
            return _unknown(Capability.MAX_TOKENS, "its answer is too short to be cut off")
        count, words = completion.completion_tokens, len(completion.text.split())
        truncated = count <= 2 if count is not None else words <= 4
        evidence = f"requested 2 tokens, got {words} words" + ("" if count is None else f" as {count} tokens")
        return _yes_if(Capability.MAX_TOKENS, truncated and len(completion.text) < len(self._counting), evidence)

    async def stop(self) -> ProbedCapability:
        words = self._counting.split()
        word = next((word for word in words[1:] if self._counting.count(word) == 1 and len(word) > 1), "")
        if not word:
            return _unknown(Capability.STOP, "its answer is too short for a stop word")
        completion = await self._complete(_COUNT_PROMPT, max_tokens=64, stop=[word])
        if isinstance(completion, str):
            return _no(Capability.STOP, completion)
        return _yes_if(
            Capability.STOP,
            word not in completion.text,
            f"stop word {_quoted(word)}: answered {_quoted(completion.text)}",
        )

    async def logprobs(self) -> ProbedCapability:
        completion = await self._complete("Is two more than one? Answer only with 'yes' or 'no'.", **_LOGPROBS)
        if isinstance(completion, str):
            return _no(Capability.LOGPROBS, completion)
        listed = first_tokens(completion.choice)
        if listed is None or len(listed) < 2:
            return _no(
                Capability.LOGPROBS, "requested, but missing" if listed is None else "only of the generated token"
            )
        probability = from_tokens(listed)
        mass = f"{probability.label_mass:.2f} of the probability on yes and no"
        return _yes(Capability.LOGPROBS, f"of {len(listed)} tokens; {mass}", len(listed))

    async def choice(self) -> ProbedCapability:
        completion = await self._complete(
            _TELL_PROMPT, max_tokens=16, structured_outputs={"choice": list(_UNLIKELY_WORDS)}
        )
        if isinstance(completion, str):
            return _no(Capability.CHOICE, completion)
        return _yes_if(
            Capability.CHOICE,
            completion.text.strip() in _UNLIKELY_WORDS,
            f"choice of {', '.join(_UNLIKELY_WORDS)}: answered {_quoted(completion.text)}",
        )

    async def json_schema(self) -> ProbedCapability:
        schema = {
            "type": "object",
            "properties": {"word": {"type": "string", "enum": list(_UNLIKELY_WORDS)}},
            "required": ["word"],
            "additionalProperties": False,
        }
        response_format = {"type": "json_schema", "json_schema": {"name": "word", "schema": schema, "strict": True}}
        completion = await self._complete(_TELL_PROMPT, max_tokens=32, response_format=response_format)
        if isinstance(completion, str):
            return _no(Capability.JSON_SCHEMA, completion)
        content = parse_body(completion.text.encode("utf-8", "replace"))
        obeyed = isinstance(content, Mapping) and content.get("word") in _UNLIKELY_WORDS
        return _yes_if(Capability.JSON_SCHEMA, obeyed, f"with a schema: answered {_quoted(completion.text)}")

    async def sampling(self) -> list[ProbedCapability]:
        completions = [
            await self._complete(_TELL_PROMPT, max_tokens=24, temperature=1.0, seed=seed)
            for seed in (11, 11, 12, 13, 14)
        ]
        texts = [each.text for each in completions if not isinstance(each, str)]
        if len(texts) < len(completions):
            problem = next(each for each in completions if isinstance(each, str))
            return [_no(Capability.SEED, problem), _no(Capability.SAMPLING, problem)]
        distinct = len(set(texts))
        evidence = f"{distinct} different answers of {len(texts)} at temperature 1"
        sampled = _yes_if(Capability.SAMPLING, distinct > 1, evidence)
        if distinct == 1:
            return [_unknown(Capability.SEED, "all answers are the same"), sampled]
        same = texts[0] == texts[1]
        evidence = f"the same seed gives {'the same' if same else 'another'} answer, others give {len(set(texts[2:]))}"
        return [_yes_if(Capability.SEED, same, evidence), sampled]

    async def picture(self) -> ProbedCapability:
        results = [await self._colour_probabilities(colour) for colour in (0, 0, 255)]
        tables = [each for each in results if not isinstance(each, str)]
        if len(tables) < len(results):
            return _no(Capability.PICTURE, next(each for each in results if isinstance(each, str)))
        noise, signal = _difference(tables[0], tables[1]), _difference(tables[0], tables[2])
        if signal > max(_MIN_DIFFERENCE, _MIN_SIGNAL_TO_NOISE * noise):
            return _yes(Capability.PICTURE, f"black and white differ by {signal:.2g}, black and black by {noise:.2g}")
        pictures = (None, grey_url(_IMAGE_SIDE, 0), grey_url(_IMAGE_SIDE, 255))
        descriptions = [await self._complete(_DESCRIBE_PROMPT, picture, max_tokens=12) for picture in pictures]
        completions = [each for each in descriptions if not isinstance(each, str)]
        if len(completions) < len(descriptions):
            return _no(Capability.PICTURE, next(each for each in descriptions if isinstance(each, str)))
        none, black, white = completions
        evidence = f"black: {_quoted(black.text)}, white: {_quoted(white.text)}"
        if black.text != white.text:
            return _yes(Capability.PICTURE, evidence)
        has_probabilities = any(len(table) > 1 for table in tables)  # and the image does not change them
        image_costs_tokens = (
            none.prompt_tokens is not None
            and black.prompt_tokens is not None
            and black.prompt_tokens > none.prompt_tokens + 1
        )
        if image_costs_tokens and not has_probabilities:
            return _unknown(Capability.PICTURE, evidence)
        return _no(Capability.PICTURE, evidence)

    async def typed(self) -> list[ProbedCapability]:
        decision = await self._decide(None, typed_decisions.PictureShape.ASSETS)
        if isinstance(decision, str):
            return [_no(Capability.DECISION, decision), _no(Capability.DECISION_PICTURE, "no typed decisions")]
        decided = _yes(Capability.DECISION, f"P(true) {decision:.3f}")
        problems = []
        for shape in typed_decisions.PictureShape:
            results = [await self._decide(grey_url(_IMAGE_SIDE, colour), shape) for colour in (0, 0, 255)]
            ps = [each for each in results if not isinstance(each, str)]
            if len(ps) < len(results):
                problems.append(f"{shape}: {next(each for each in results if isinstance(each, str))}")
                continue
            noise, signal = abs(ps[0] - ps[1]), abs(ps[0] - ps[2])
            if signal > max(_MIN_DIFFERENCE, _MIN_SIGNAL_TO_NOISE * noise):
                evidence = f"as {shape}: black and white differ by {signal:.2g}, black and black by {noise:.2g}"
                return [decided, _yes(Capability.DECISION_PICTURE, evidence, str(shape))]
            problems.append(f"{shape}: black and white give the same answer")
        return [decided, _no(Capability.DECISION_PICTURE, "; ".join(problems))]

    async def _colour_probabilities(self, colour: int) -> dict[str, float] | str:
        """Return the first token's probabilities for a grey image, or the whole text with probability 1."""
        completion = await self._complete(_COLOUR_PROMPT, grey_url(_IMAGE_SIDE, colour), **_LOGPROBS)
        if isinstance(completion, str):
            return completion
        return _first_token_probabilities(completion.choice) or {completion.text: 1.0}

    async def _complete(self, text: str, picture: EncodedImage | None = None, **fields: Any) -> _ModelReply | str:
        """Return the completion, or one line with the reason why there is none."""
        turns = messages((Message("user", text),), picture.url if picture else None)
        limit = "max_completion_tokens" if "max_completion_tokens" in self._settings.options else "max_tokens"
        fields[limit] = fields.pop("max_tokens")
        body = {**self._settings.options, "model": self.model, "messages": turns, "temperature": 0, **fields}
        payload = await self._post(CHAT, body)
        if isinstance(payload, str):
            return payload
        choices = payload.get("choices") if isinstance(payload, Mapping) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        content = choice.get("message", {}).get("content") if isinstance(choice, Mapping) else None
        if not isinstance(content, str):
            return "its answer contains no message"
        counts = token_counts(payload)
        return _ModelReply(content, choice, counts.prompt_tokens, counts.completion_tokens)

    async def _decide(self, picture: EncodedImage | None, shape: typed_decisions.PictureShape) -> float | str:
        """Return P(true) of a typed decision, or one line with the reason why there is none."""
        question = "Is this picture white?" if picture else "Is two more than one?"
        body = typed_decisions.questions_body((question,), "", model=self.model, picture=picture, shape=shape)
        payload = await self._post(typed_decisions.PATH, body)
        if isinstance(payload, str):
            return payload
        probability = from_decision(payload, typed_decisions.question_name(0))
        return "its answer contains no decision" if probability is None or probability.p is None else probability.p

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the parsed answer, or one line with the reason why there is none; a server error is retried once."""
        for _ in range(2):
            self._budget.reserve()
            reply = await self._client.post(path, encoded(body))
            if isinstance(reply, Reply) and (reply.status < 500 or reply.status == 501):
                break
        if isinstance(reply, TransportFailure):
            return plain_line(reply.detail, self._client.key)
        if reply.status in {401, 403}:
            raise access_error(self._settings, reply, self._client.key)
        if reply.status != 200:
            return f"{reply.status}: {server_message(reply.body, self._client.key)}".removesuffix(": ")
        payload = parse_body(reply.body)
        if isinstance(payload, ResponseProblem):
            return payload.detail
        counts = token_counts(payload)
        self._budget.spend((counts.prompt_tokens or 0) + (counts.completion_tokens or 0), None)
        return payload


_LOGPROBS: Final[Mapping[str, Any]] = {"max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}


@dataclass(frozen=True, slots=True)
class _ModelReply:
    text: str
    choice: Any
    prompt_tokens: int | None
    """Tokens of the question."""
    completion_tokens: int | None
    """Of the answer."""


def _first_token_probabilities(choice: Any) -> dict[str, float]:
    return {token: math.exp(min(0.0, logprob)) for token, logprob in first_tokens(choice) or ()}


def _difference(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return max((abs(one.get(token, 0.0) - other.get(token, 0.0)) for token in {*one, *other}), default=0.0)


def _quoted(text: str) -> str:
    return json.dumps(display_text(text, limit=40), ensure_ascii=False)


def _yes(name: Capability, evidence: str, value: Any = None) -> ProbedCapability:
    return ProbedCapability(name=name, seen=Support.YES, evidence=display_text(evidence, limit=160), value=value)


def _no(name: Capability, evidence: str) -> ProbedCapability:
    return replace(_yes(name, evidence), seen=Support.NO)


def _unknown(name: Capability, evidence: str) -> ProbedCapability:
    return replace(_yes(name, evidence), seen=Support.UNKNOWN)


def _yes_if(name: Capability, proved: bool, evidence: str) -> ProbedCapability:
    return _yes(name, evidence) if proved else _no(name, evidence)
