"""Looking what a server really honours: many answer 200 to a parameter that they leave out.

Every feature is judged by what came back, never by the status alone: a choice that nobody would make by himself has to
be made, another picture has to change the answer, another seed the text. Some twenty small requests.
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
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure
from workbench.generation.engines.http.errors import plain_line, plain_url, server_message
from workbench.generation.engines.http.stop_reasons import access_error, connection_error
from workbench.generation.engines.image_payload import EncodedImage, grey_url
from workbench.generation.engines.openai import typed_decisions
from workbench.generation.engines.openai.calls import CHAT
from workbench.generation.engines.openai.capabilities import Capability, Support
from workbench.generation.engines.openai.engine import api_key, check
from workbench.generation.engines.openai.models_endpoint import model_ids
from workbench.generation.engines.openai.request_body import encoded, messages
from workbench.generation.engines.openai.response import ResponseProblem, parse_body, token_counts
from workbench.generation.engines.probabilities import TOP_LOGPROBS, first_tokens, from_decision, from_tokens
from workbench.generation.engines.requests import Message
from workbench.workspace.engine_settings import EngineSettings

_UNLIKELY_WORDS: Final = ("zq", "qz")
"""Nobody answers so unless made to."""
_COUNT_PROMPT: Final = "Count from one to twelve in words, separated by commas."
_TELL_PROMPT: Final = "Tell me one thing about anything you like, in one sentence."
_COLOUR_PROMPT: Final = "Is this picture white? Answer only with 'yes' or 'no'."
_DESCRIBE_PROMPT: Final = "Which colour is this picture? Answer with one word."
_IMAGE_SIDE: Final = 224
_MIN_SIGNAL_TO_NOISE: Final = 10.0
"""Between two pictures there must be so much more difference than between two looks at one."""
_MIN_DIFFERENCE: Final = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedCapability:
    """What was seen of one feature."""

    name: Capability
    seen: Support
    evidence: str
    """One line."""
    value: Any = None

    def __str__(self) -> str:
        return f"{self.name:<17}{self.seen:<8} {self.evidence}"

    def to_dict(self) -> dict[str, Any]:
        """As the record keeps it."""
        return {"seen": str(self.seen), "evidence": self.evidence, "value": self.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """What was seen of one model of one server."""

    url: str
    """Without name and password: what the record and the engines know it by."""
    model: str
    capabilities: tuple[ProbedCapability, ...]

    def __str__(self) -> str:
        return "\n".join((f"{self.url}  {self.model}", *(f"  {feature}" for feature in self.capabilities)))

    def to_dict(self) -> dict[str, Any]:
        """Feature to what was seen."""
        return {str(feature.name): feature.to_dict() for feature in self.capabilities}


async def probe(settings: EngineSettings, *, budget: Budget | None = None) -> ProbeReport:
    """Look what the server of `settings` honours.

    Raises:
        UsageError: the settings are off; it is not clear which model is meant.
        EngineStopped: the server cannot be reached, or refuses the key.
        BudgetReached: the next request would be one too many.
    """
    check(settings)
    async with HttpClient(settings.url, key=api_key(settings), timeout=settings.timeout) as client:
        look = _Prober(settings, client, budget or Budget())
        listed = await look.models()
        features = [listed, await look.chat()]
        if features[-1].seen is Support.YES:
            features += [await look.max_tokens(), await look.stop(), await look.logprobs()]
            features += [await look.choice(), await look.json_schema(), *await look.sampling()]
            features.append(await look.picture())
        else:
            features += [_unknown(name, "it does not chat") for name in Capability if name not in _INDEPENDENT_OF_CHAT]
        features += await look.typed()
        return ProbeReport(url=plain_url(settings.url), model=look.model, capabilities=tuple(features))


_INDEPENDENT_OF_CHAT: Final = frozenset(
    {Capability.MODELS, Capability.CHAT, Capability.DECISION, Capability.DECISION_PICTURE}
)


class _Prober:
    def __init__(self, settings: EngineSettings, client: HttpClient, budget: Budget) -> None:
        self.model = settings.model
        self._settings = settings
        self._client = client
        self._budget = budget
        self._first = ""
        """What it said to `_COUNT`."""

    async def models(self) -> ProbedCapability:
        reply = await self._client.get("/models")
        if isinstance(reply, TransportFailure):
            raise connection_error(self._settings, reply.detail)
        if reply.status in {401, 403}:
            raise access_error(self._settings, reply, self._client.key)
        listed = model_ids(reply)
        if not self.model and len(listed) != 1:
            hint = "model = one of: " + ", ".join(listed[:8]) if listed else "name it: model = ..."
            raise UsageError(f"[engines.{self._settings.name}] which model? the server lists {len(listed)}", hint=hint)
        self.model = self.model or listed[0]
        if not listed:
            return _no(Capability.MODELS, f"no list: {reply.status}")
        there = "" if self.model in listed else f"; not {display_text(self.model, limit=60)}"
        return _yes(Capability.MODELS, f"lists {len(listed)}: {', '.join(listed[:3])}{there}", len(listed))

    async def chat(self) -> ProbedCapability:
        said = await self._say(_COUNT_PROMPT, max_tokens=64)
        if isinstance(said, str):
            return _no(Capability.CHAT, said)
        self._first = said.text
        return _yes(Capability.CHAT, f"said {_quoted(said.text)}")

    async def max_tokens(self) -> ProbedCapability:
        said = await self._say(_COUNT_PROMPT, max_tokens=2)
        if isinstance(said, str):
            return _unknown(Capability.MAX_TOKENS, said)
        if len(self._first.split()) <= 4:
            return _unknown(Capability.MAX_TOKENS, "it says too little to be cut off")
        count, words = said.completion_tokens, len(said.text.split())
        short = count <= 2 if count is not None else words <= 4
        evidence = f"asked for 2, got {words} words" + ("" if count is None else f" as {count} tokens")
        return _yes_if(Capability.MAX_TOKENS, short and len(said.text) < len(self._first), evidence)

    async def stop(self) -> ProbedCapability:
        words = self._first.split()
        word = next((word for word in words[1:] if self._first.count(word) == 1 and len(word) > 1), "")
        if not word:
            return _unknown(Capability.STOP, "it says too little to be stopped")
        said = await self._say(_COUNT_PROMPT, max_tokens=64, stop=[word])
        if isinstance(said, str):
            return _no(Capability.STOP, said)
        return _yes_if(
            Capability.STOP, word not in said.text, f"to be stopped at {_quoted(word)} it said {_quoted(said.text)}"
        )

    async def logprobs(self) -> ProbedCapability:
        said = await self._say("Is two more than one? Answer only with 'yes' or 'no'.", **_LOGPROBS)
        if isinstance(said, str):
            return _no(Capability.LOGPROBS, said)
        listed = first_tokens(said.choice)
        if listed is None or len(listed) < 2:
            return _no(
                Capability.LOGPROBS, "asked for, left out" if listed is None else "only of the token that it said"
            )
        chance = from_tokens(listed)
        said_mass = f"{chance.label_mass:.2f} of the probability on yes and no"
        return _yes(Capability.LOGPROBS, f"of {len(listed)} tokens; {said_mass}", len(listed))

    async def choice(self) -> ProbedCapability:
        said = await self._say(_TELL_PROMPT, max_tokens=16, structured_outputs={"choice": list(_UNLIKELY_WORDS)})
        if isinstance(said, str):
            return _no(Capability.CHOICE, said)
        return _yes_if(
            Capability.CHOICE,
            said.text.strip() in _UNLIKELY_WORDS,
            f"of {', '.join(_UNLIKELY_WORDS)} it said {_quoted(said.text)}",
        )

    async def json_schema(self) -> ProbedCapability:
        schema = {
            "type": "object",
            "properties": {"word": {"type": "string", "enum": list(_UNLIKELY_WORDS)}},
            "required": ["word"],
            "additionalProperties": False,
        }
        wanted = {"type": "json_schema", "json_schema": {"name": "word", "schema": schema, "strict": True}}
        said = await self._say(_TELL_PROMPT, max_tokens=32, response_format=wanted)
        if isinstance(said, str):
            return _no(Capability.JSON_SCHEMA, said)
        told = parse_body(said.text.encode("utf-8", "replace"))
        obeyed = isinstance(told, Mapping) and told.get("word") in _UNLIKELY_WORDS
        return _yes_if(Capability.JSON_SCHEMA, obeyed, f"with a schema it said {_quoted(said.text)}")

    async def sampling(self) -> list[ProbedCapability]:
        said = [
            await self._say(_TELL_PROMPT, max_tokens=24, temperature=1.0, seed=seed) for seed in (11, 11, 12, 13, 14)
        ]
        texts = [each.text for each in said if not isinstance(each, str)]
        if len(texts) < len(said):
            why = next(each for each in said if isinstance(each, str))
            return [_no(Capability.SEED, why), _no(Capability.SAMPLING, why)]
        kinds = len(set(texts))
        sampled = _yes_if(Capability.SAMPLING, kinds > 1, f"{kinds} different answers of {len(texts)} at temperature 1")
        if kinds == 1:
            return [_unknown(Capability.SEED, "all answers are the same"), sampled]
        same = texts[0] == texts[1]
        evidence = f"the same seed gives {'the same' if same else 'another'} answer, others give {len(set(texts[2:]))}"
        return [_yes_if(Capability.SEED, same, evidence), sampled]

    async def picture(self) -> ProbedCapability:
        looks = [await self._see(colour) for colour in (0, 0, 255)]
        seen = [look for look in looks if not isinstance(look, str)]
        if len(seen) < len(looks):
            return _no(Capability.PICTURE, next(look for look in looks if isinstance(look, str)))
        again, other = _difference(seen[0], seen[1]), _difference(seen[0], seen[2])
        if other > max(_MIN_DIFFERENCE, _MIN_SIGNAL_TO_NOISE * again):
            return _yes(Capability.PICTURE, f"black and white differ by {other:.2g}, black and black by {again:.2g}")
        pictures = (None, grey_url(_IMAGE_SIDE, 0), grey_url(_IMAGE_SIDE, 255))
        told = [await self._say(_DESCRIBE_PROMPT, picture, max_tokens=12) for picture in pictures]
        said = [each for each in told if not isinstance(each, str)]
        if len(said) < len(told):
            return _no(Capability.PICTURE, next(each for each in told if isinstance(each, str)))
        none, black, white = said
        evidence = f"black: {_quoted(black.text)}, white: {_quoted(white.text)}"
        if black.text != white.text:
            return _yes(Capability.PICTURE, evidence)
        weighed = any(len(look) > 1 for look in seen)  # probabilities, and they do not move
        counted = (
            none.prompt_tokens is not None
            and black.prompt_tokens is not None
            and black.prompt_tokens > none.prompt_tokens + 1
        )
        return _unknown(Capability.PICTURE, evidence) if counted and not weighed else _no(Capability.PICTURE, evidence)

    async def typed(self) -> list[ProbedCapability]:
        told = await self._decide(None, typed_decisions.PictureShape.ASSETS)
        if isinstance(told, str):
            return [_no(Capability.DECISION, told), _no(Capability.DECISION_PICTURE, "no typed decisions")]
        decided = _yes(Capability.DECISION, f"P(true) {told:.3f}")
        whys = []
        for shape in typed_decisions.PictureShape:
            looks = [await self._decide(grey_url(_IMAGE_SIDE, colour), shape) for colour in (0, 0, 255)]
            ps = [look for look in looks if not isinstance(look, str)]
            if len(ps) < len(looks):
                whys.append(f"{shape}: {next(look for look in looks if isinstance(look, str))}")
                continue
            again, other = abs(ps[0] - ps[1]), abs(ps[0] - ps[2])
            if other > max(_MIN_DIFFERENCE, _MIN_SIGNAL_TO_NOISE * again):
                evidence = f"as {shape}: black and white differ by {other:.2g}, black and black by {again:.2g}"
                return [decided, _yes(Capability.DECISION_PICTURE, evidence, str(shape))]
            whys.append(f"{shape}: sent, but black and white are the same")
        return [decided, _no(Capability.DECISION_PICTURE, "; ".join(whys))]

    async def _see(self, colour: int) -> dict[str, float] | str:
        """The probabilities of the first token before a plain picture, or the whole text for certain."""
        said = await self._say(_COLOUR_PROMPT, grey_url(_IMAGE_SIDE, colour), **_LOGPROBS)
        if isinstance(said, str):
            return said
        return _first_token_probabilities(said.choice) or {said.text: 1.0}

    async def _say(self, text: str, picture: EncodedImage | None = None, **fields: Any) -> _Completion | str:
        """What it says, or one line about why not."""
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
            return "its answer holds no message"
        counts = token_counts(payload)
        return _Completion(content, choice, counts.prompt_tokens, counts.completion_tokens)

    async def _decide(self, picture: EncodedImage | None, shape: typed_decisions.PictureShape) -> float | str:
        """P(true) of a typed decision, or one line about why there is none."""
        question = "Is this picture white?" if picture else "Is two more than one?"
        body = typed_decisions.questions_body((question,), "", model=self.model, picture=picture, shape=shape)
        payload = await self._post(typed_decisions.PATH, body)
        if isinstance(payload, str):
            return payload
        chance = from_decision(payload, typed_decisions.question_name(0))
        return "its answer holds no decision" if chance is None or chance.p is None else chance.p

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The parsed answer, or one line about why there is none; a trouble of the server is met twice."""
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
class _Completion:
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


def _yes_if(name: Capability, found: bool, evidence: str) -> ProbedCapability:
    return _yes(name, evidence) if found else _no(name, evidence)
