"""Probe of a server's capabilities: many servers answer 200 and ignore a parameter, others refuse a usual one.

Each capability is proved by the content of the answer, never by the status alone: a forced choice of unlikely words
must be made, another image must change the answer, another seed must change the text. A field that the server refuses
is found by the refusal, and the requests after it are adapted (`request_rules.py`). An answer that max_tokens cut
proves nothing by what it lacks. It takes about 25 small requests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.http.client import HttpClient, TransportFailure, open_client
from workbench.generation.engines.http.stop_reasons import access_error, connection_error
from workbench.generation.engines.image_payload import EncodedImage, grey_url
from workbench.generation.engines.openai import typed_decisions
from workbench.generation.engines.openai.engine import check
from workbench.generation.engines.openai.models_endpoint import model_ids, no_list_error
from workbench.generation.engines.openai.probing.capabilities import REFUSED, Capability, Support
from workbench.generation.engines.openai.probing.probe_requests import Completion, NoCompletion, ProbeRequests
from workbench.generation.engines.openai.probing.probe_summary import toml_value
from workbench.generation.engines.openai.request_body import choice_field, json_schema_field, logprob_fields
from workbench.generation.engines.openai.request_rules import (
    DEFAULT_THINKING_TOKENS,
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    RequestRules,
    request_rules,
)
from workbench.generation.engines.probabilities import TOP_LOGPROBS, first_tokens, from_tokens, leading_blanks
from workbench.generation.engines.requests import Message
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import plain_url

LEAST_LABEL_MASS: Final = 0.5
"""Default of the least share of the probability on yes and no with which log-probabilities are proved."""
_UNLIKELY_WORDS: Final = ("zq", "qz")
"""Answers that no model gives unless it is forced to."""
_COUNT_PROMPT: Final = "Count from one to twelve in words, separated by commas."
_TELL_PROMPT: Final = "Tell me one thing about anything you like, in one sentence."
_YES_NO_PROMPT: Final = "Is two more than one? Answer only with 'yes' or 'no'."
_COLOUR_PROMPT: Final = "Is this picture white? Answer only with 'yes' or 'no'."
_DESCRIBE_PROMPT: Final = "Which colour is this picture? Answer with one word."
_SYSTEM_PROMPT: Final = f"Whatever the user writes, answer only with the word {_UNLIKELY_WORDS[0]}. " * 4
_IMAGE_SIDE: Final = 224
_MIN_SIGNAL_TO_NOISE: Final = 10.0
"""Least ratio of the difference between two images to the difference between two requests about one image."""
_MIN_DIFFERENCE: Final = 1e-4
_TOPS: Final = (TOP_LOGPROBS, 5)
"""Numbers of log-probabilities to try; OpenAI takes 20, some servers only 5."""
_MOST_BLANKS: Final = 8
"""Tokens that are requested to find the first one that is not blank."""
_SYSTEM_TOKENS: Final = 20
"""Least tokens by which the system message must lengthen the prompt; it has about 60."""
_THOUGHT_SWITCHES: Final[tuple[Mapping[str, Any], ...]] = (
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"reasoning_effort": "none"},
    {"think": False},
)
"""Fields that switch thinking off: vLLM and SGLang, OpenAI and many hosted servers, Ollama."""


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


async def probe(
    settings: EngineSettings, *, budget: Budget | None = None, least_label_mass: float = LEAST_LABEL_MASS
) -> ProbeReport:
    """Test the capabilities of the server of `settings`.

    Args:
        least_label_mass: Share of the probability that must be on yes and no to prove log-probabilities.

    Raises:
        UsageError: invalid settings, or no model is named and the server does not list exactly one.
        EngineStopped: the server cannot be reached, or refuses access.
        BudgetReached: the next request would exceed a cap.
    """
    check(settings)
    async with open_client(settings) as client:
        requests = ProbeRequests(settings, client, budget or Budget(), request_rules(settings, None))
        prober = _Prober(settings, client, requests, least_label_mass)
        features = [await prober.models(), *await prober.chat()]
        if prober.answers:
            features += [await prober.system(), await prober.max_tokens(), await prober.stop(), await prober.top_p()]
            features += [await prober.logprobs(), await prober.choice(), await prober.json_schema()]
            features += [*await prober.sampling(), await prober.picture()]
        else:
            probed = {feature.name for feature in features} | _INDEPENDENT_OF_CHAT
            features += [_unknown(name, "no chat completions") for name in Capability if name not in probed]
        features += await prober.typed()
        order = list(Capability)
        features.sort(key=lambda feature: order.index(feature.name))
        return ProbeReport(url=plain_url(settings.url), model=requests.model, capabilities=tuple(features))


_INDEPENDENT_OF_CHAT: Final = frozenset({Capability.DECISION, Capability.DECISION_PICTURE})


class _Prober:
    def __init__(
        self, settings: EngineSettings, client: HttpClient, requests: ProbeRequests, least_label_mass: float
    ) -> None:
        self._settings = settings
        self._client = client
        self._requests = requests
        self._least_label_mass = least_label_mass
        self._counting = ""
        """Answer to `_COUNT_PROMPT`."""
        self._logprobs: Mapping[str, Any] = {}
        """Fields of a request for log-probabilities, where the server takes them."""
        self.answers = False
        """Whether the server answers chat requests."""

    async def models(self) -> ProbedCapability:
        reply = await self._client.get("/models")
        if isinstance(reply, TransportFailure):
            raise connection_error(self._settings, reply.detail)
        if reply.status in {401, 403}:
            raise access_error(self._settings, reply, self._client.key)
        listed = model_ids(reply)
        if not self._requests.model and len(listed) != 1:
            if not listed and (error := no_list_error(self._settings, reply, self._client.key)) is not None:
                raise error
            hint = "set model to one of: " + ", ".join(listed[:8]) if listed else "set model = ..."
            raise UsageError(
                f"[engines.{self._settings.name}] names no model, and the server lists {len(listed)}", hint=hint
            )
        model = self._requests.model = self._requests.model or listed[0]
        if not listed:
            return _no(Capability.MODELS, f"no list: {reply.status}")
        missing = "" if model in listed else f"; {display_text(model, limit=60)} is missing"
        return _yes(Capability.MODELS, f"lists {len(listed)}: {', '.join(listed[:3])}{missing}", len(listed))

    # -- what every request has ----------------------------------------------------------------------------------------

    async def chat(self) -> list[ProbedCapability]:
        """Test a chat completion with the fields that every request has; find those that the server refuses."""
        completion = await self._requests.complete(_COUNT_PROMPT, max_tokens=64)
        refusal = completion.detail if isinstance(completion, NoCompletion) and completion.refused else ""
        for rules in self._adaptations() if refusal else ():
            adapted = await self._requests.complete(_COUNT_PROMPT, max_tokens=64, rules=rules)
            if isinstance(adapted, Completion):
                completion, self._requests.rules = adapted, rules
                break
        if isinstance(completion, NoCompletion):
            return [_no_answer(Capability.CHAT, completion)]
        self.answers = True
        thinking = await self._thinking(completion)
        if thinking.seen is Support.YES:
            again = await self._requests.complete(_COUNT_PROMPT, max_tokens=64)
            completion = again if isinstance(again, Completion) else completion
        self._counting = completion.text
        evidence = f"answered {_quoted(completion.text)}"
        return [_yes(Capability.CHAT, evidence), self._temperature(refusal), thinking]

    def _adaptations(self) -> list[RequestRules]:
        """Return the rules to try, one after the other, for a server that refuses the usual fields."""
        present = self._requests.rules
        renamed = present
        if self._settings.rename is None and MAX_TOKENS not in present.omit:
            renamed = replace(present, rename={MAX_TOKENS: MAX_COMPLETION_TOKENS})
        if self._settings.omit is not None:
            return [renamed]
        free = [replace(each, omit=present.omit | {"temperature"}) for each in (present, renamed)]
        unlimited = [
            replace(present, omit=present.omit | names) for names in ({MAX_TOKENS}, {MAX_TOKENS, "temperature"})
        ]
        return [renamed, *free, *unlimited]

    def _temperature(self, refusal: str) -> ProbedCapability:
        name = Capability.TEMPERATURE
        if "temperature" not in self._requests.rules.omit:
            return _yes(name, "temperature 0 is accepted")
        if self._settings.omit is not None:
            return _unknown(name, "negwb.toml omits it")
        return _no(name, f"temperature 0 is refused, so it is left out: {refusal}", REFUSED)

    async def _thinking(self, completion: Completion) -> ProbedCapability:
        """Report whether the model thinks before it answers, and which fields switch that off."""
        if not completion.thought:
            return _no(Capability.THINKING, "answers without a thought")
        tokens = self._settings.thinking_tokens
        self._requests.rules = replace(
            self._requests.rules, thinking_tokens=DEFAULT_THINKING_TOKENS if tokens is None else tokens
        )
        for switch in _THOUGHT_SWITCHES:
            plain = await self._requests.complete(_COUNT_PROMPT, max_tokens=64, **switch)
            if isinstance(plain, Completion) and plain.text.strip() and not plain.thought:
                recipe = f"options = {toml_value(switch)}"
                return _yes(Capability.THINKING, f"a reasoning model; switched off by {recipe}", {"off": dict(switch)})
        evidence = "a reasoning model; no known field switches its thinking off"
        return _yes(Capability.THINKING, evidence, {"off": None})

    async def system(self) -> ProbedCapability:
        """Test whether a system message is read: obeyed, or at least part of the prompt."""
        name = Capability.SYSTEM
        if self._settings.system == "merge":
            return _unknown(name, "negwb.toml merges system messages")
        question = Message("user", _TELL_PROMPT)
        completion = await self._requests.complete((Message("system", _SYSTEM_PROMPT), question), max_tokens=16)
        without = await self._requests.complete((question,), max_tokens=16)
        if isinstance(completion, NoCompletion):
            refused = completion.refused and isinstance(without, Completion)
            result = _no(name, completion.detail, REFUSED) if refused else _unknown(name, completion.detail)
        elif _UNLIKELY_WORDS[0] in completion.text:
            result = _yes(name, f"obeyed: answered {_quoted(completion.text)}")
        elif isinstance(without, NoCompletion) or None in (completion.prompt_tokens, without.prompt_tokens):
            result = _unknown(name, f"not obeyed: answered {_quoted(completion.text)}")
        else:
            longer = (completion.prompt_tokens or 0) - (without.prompt_tokens or 0)
            result = _yes_if(name, longer >= _SYSTEM_TOKENS, f"lengthens the prompt by {longer} tokens")
        if result.seen is Support.NO and self._settings.system == "auto":
            self._requests.rules = replace(self._requests.rules, merge_system=True)
        return result

    async def max_tokens(self) -> ProbedCapability:
        name, rules = Capability.MAX_TOKENS, self._requests.rules
        if MAX_TOKENS in rules.omit:
            ours = self._settings.omit is not None
            return _unknown(name, "negwb.toml omits it") if ours else _no(name, "every limit is refused", REFUSED)
        field = rules.rename.get(MAX_TOKENS, MAX_TOKENS)
        value = None if field == MAX_TOKENS else field
        completion = await self._requests.complete(_COUNT_PROMPT, max_tokens=2, exact=True)
        if isinstance(completion, NoCompletion):
            return _unknown(name, completion.detail, value)
        if len(self._counting.split()) <= 4:
            return _unknown(name, "its answer is too short to be cut off", value)
        count, words = completion.completion_tokens, len(completion.raw.split())
        truncated = count <= 2 if count is not None else words <= 4
        evidence = f"{field} 2: got {words} words" + ("" if count is None else f" as {count} tokens")
        return replace(_yes_if(name, truncated and len(completion.raw) < len(self._counting), evidence), value=value)

    async def stop(self) -> ProbedCapability:
        words = self._counting.split()
        word = next((word for word in words[1:] if self._counting.count(word) == 1 and len(word) > 1), "")
        if not word:
            return _unknown(Capability.STOP, "its answer is too short for a stop word")
        completion = await self._requests.complete(_COUNT_PROMPT, max_tokens=64, stop=[word])
        if isinstance(completion, NoCompletion):
            return _no_answer(Capability.STOP, completion)
        evidence = f"stop word {_quoted(word)}: answered {_quoted(completion.text)}"
        if completion.cut and word not in completion.text:
            return _unknown(Capability.STOP, f"cut off; {evidence}")
        return _yes_if(Capability.STOP, word not in completion.text, evidence)

    async def top_p(self) -> ProbedCapability:
        fields: dict[str, Any] = {"max_tokens": 8, "temperature": 0.7}
        if "top_p" in self._requests.rules.omit:
            return _unknown(Capability.TOP_P, "negwb.toml omits it")
        completion = await self._requests.complete(_COUNT_PROMPT, **fields, top_p=0.9)
        if isinstance(completion, Completion):
            return _yes(Capability.TOP_P, "top_p 0.9 is accepted")
        return await self._refused_field(Capability.TOP_P, "top_p", completion, fields)

    async def _refused_field(
        self, name: Capability, field: str, refusal: NoCompletion, others: Mapping[str, Any]
    ) -> ProbedCapability:
        """Report a field as refused, and leave it out from now on, if the server answers the same request without."""
        if refusal.refused and isinstance(await self._requests.complete(_COUNT_PROMPT, **others), Completion):
            if self._settings.omit is None:
                self._requests.rules = replace(self._requests.rules, omit=self._requests.rules.omit | {field})
            return _no(name, f"{field} is refused, so it is left out: {refusal.detail}", REFUSED)
        return _unknown(name, refusal.detail)

    # -- probabilities and restricted answers --------------------------------------------------------------------------

    async def logprobs(self) -> ProbedCapability:
        """Test for log-probabilities whose mass is on yes and no, of a text question and of one about an image."""
        name = Capability.LOGPROBS
        for top in _TOPS:
            completion = await self._requests.complete(_YES_NO_PROMPT, exact=True, **logprob_fields(top, 1))
            if isinstance(completion, Completion) or not completion.refused:
                break
        if isinstance(completion, NoCompletion):
            return _no_answer(name, completion)
        listed = first_tokens(completion.choice)
        if listed is None or len(listed) < 2:
            return _no(name, "requested, but missing" if listed is None else "only of the generated token")
        tokens, completion = await self._skip_blanks(completion, top)
        self._logprobs = logprob_fields(top, tokens)
        shown = await self._requests.complete(_COLOUR_PROMPT, grey_url(_IMAGE_SIDE, 255), exact=True, **self._logprobs)
        masses = [_label_mass(each) for each in (completion, shown) if isinstance(each, Completion)]
        mass = min(masses)
        shares = " and ".join(f"{each:.2f}" for each in masses)
        evidence = f"of {len(listed)} tokens ({top} requested); {shares} of the probability on yes and no"
        evidence += f"; read from token {tokens}, after blanks" if tokens > 1 else ""
        value = {"listed": len(listed), "top": top, "tokens": tokens, "mass": round(mass, 4)}
        if mass < self._least_label_mass:
            return _no(name, f"{evidence}, least: {self._least_label_mass:g}", value)
        return _yes(name, evidence, value)

    async def _skip_blanks(self, completion: Completion, top: int) -> tuple[int, Completion]:
        """Return the number of tokens until the first one that is not blank, and an answer of that length."""
        if not leading_blanks(completion.choice):
            return 1, completion
        longer = await self._requests.complete(_YES_NO_PROMPT, exact=True, **logprob_fields(top, _MOST_BLANKS))
        if isinstance(longer, NoCompletion):
            return 1, completion
        return min(_MOST_BLANKS, leading_blanks(longer.choice) + 1), longer

    async def choice(self) -> ProbedCapability:
        completion = await self._requests.complete(_TELL_PROMPT, max_tokens=16, **choice_field(_UNLIKELY_WORDS))
        if isinstance(completion, NoCompletion):
            return _no_answer(Capability.CHOICE, completion)
        evidence = f"choice of {', '.join(_UNLIKELY_WORDS)}: answered {_quoted(completion.text)}"
        return _restricted(Capability.CHOICE, completion, _UNLIKELY_WORDS, evidence)

    async def json_schema(self) -> ProbedCapability:
        schema = json_schema_field("word", _UNLIKELY_WORDS)
        completion = await self._requests.complete(_TELL_PROMPT, max_tokens=32, **schema)
        if isinstance(completion, NoCompletion):
            return _no_answer(Capability.JSON_SCHEMA, completion)
        allowed = [json.dumps({"word": word}, separators=(",", ":")) for word in _UNLIKELY_WORDS]
        evidence = f"with a schema: answered {_quoted(completion.text)}"
        return _restricted(Capability.JSON_SCHEMA, completion, allowed, evidence)

    async def sampling(self) -> list[ProbedCapability]:
        """Test whether answers differ at temperature 1, and whether equal seeds give equal answers."""
        fields: dict[str, Any] = {"max_tokens": 24, "temperature": 1.0}
        seed_result = None
        if "seed" in self._requests.rules.omit:
            seed_result = _unknown(Capability.SEED, "negwb.toml omits it")
        first = await self._requests.complete(_TELL_PROMPT, **fields, seed=11)
        if isinstance(first, NoCompletion):
            seed_result = await self._refused_field(Capability.SEED, "seed", first, fields)
            if seed_result.seen is Support.UNKNOWN:
                return [seed_result, _no_answer(Capability.SAMPLING, first)]
            first = await self._requests.complete(_TELL_PROMPT, **fields)
        seeds: list[dict[str, Any]] = [{"seed": seed} if seed_result is None else {} for seed in (11, 12, 13, 14)]
        others = [await self._requests.complete(_TELL_PROMPT, **fields, **seed) for seed in seeds]
        completions = [each for each in (first, *others) if isinstance(each, Completion)]
        if len(completions) < 1 + len(others):
            problem = next(each for each in (first, *others) if isinstance(each, NoCompletion))
            return [seed_result or _unknown(Capability.SEED, problem.detail), _no_answer(Capability.SAMPLING, problem)]
        texts = [each.text for each in completions]
        distinct = len(set(texts))
        evidence = f"{distinct} different answers of {len(texts)} at temperature 1"
        if not any(text.strip() for text in texts):
            sampled = _unknown(Capability.SAMPLING, "all answers are empty")
        else:
            sampled = _yes_if(Capability.SAMPLING, distinct > 1, evidence)
        if seed_result is not None:
            return [seed_result, sampled]
        if distinct == 1:
            return [_unknown(Capability.SEED, "all answers are the same"), sampled]
        same = texts[0] == texts[1]
        evidence = f"the same seed gives {'the same' if same else 'another'} answer, others give {len(set(texts[2:]))}"
        return [_yes_if(Capability.SEED, same, evidence), sampled]

    # -- images --------------------------------------------------------------------------------------------------------

    async def picture(self) -> ProbedCapability:
        """Test whether another image changes the answer. The same answers to black and white prove that none does."""
        results = [await self._colour_probabilities(colour) for colour in (0, 0, 255)]
        tables = [each for each in results if not isinstance(each, NoCompletion)]
        if len(tables) < len(results):
            return _no_answer(Capability.PICTURE, next(each for each in results if isinstance(each, NoCompletion)))
        measured = any(len(table) > 1 for table in tables)
        noise, signal = _difference(tables[0], tables[1]), _difference(tables[0], tables[2])
        by_chance = "temperature" in self._requests.rules.omit and not measured
        if signal > max(_MIN_DIFFERENCE, _MIN_SIGNAL_TO_NOISE * noise) and not by_chance:
            return _yes(Capability.PICTURE, f"black and white differ by {signal:.2g}, black and black by {noise:.2g}")
        return await self._described(same_probabilities=measured)

    async def _described(self, *, same_probabilities: bool) -> ProbedCapability:
        """Test whether black and white images are described differently, each in the same words twice."""
        images: Sequence[EncodedImage | None] = (None, *(grey_url(_IMAGE_SIDE, grey) for grey in (0, 0, 255, 255)))
        descriptions = [await self._requests.complete(_DESCRIBE_PROMPT, image, max_tokens=32) for image in images]
        completions = [each for each in descriptions if isinstance(each, Completion)]
        if len(completions) < len(descriptions):
            return _no_answer(Capability.PICTURE, next(each for each in descriptions if isinstance(each, NoCompletion)))
        none, black, again, white, _ = completions
        evidence = f"black: {_quoted(black.text)}, white: {_quoted(white.text)}"
        words = [each.text.strip(" .!\n").casefold() for each in completions[1:]]
        if words[0] != words[1] or words[2] != words[3]:
            return _unknown(Capability.PICTURE, f"{evidence}, black again: {_quoted(again.text)}")
        if words[0] != words[2]:
            return _yes(Capability.PICTURE, evidence)
        absent = none.prompt_tokens is not None and none.prompt_tokens == black.prompt_tokens
        if black.cut and not same_probabilities and not absent:
            return _unknown(Capability.PICTURE, f"cut off; {evidence}")
        return _no(Capability.PICTURE, evidence + ("; the image is not in the prompt" if absent else ""))

    async def typed(self) -> list[ProbedCapability]:
        decision = await self._requests.decide("Is two more than one?", None, typed_decisions.PictureShape.ASSETS)
        if isinstance(decision, NoCompletion):
            return [_no(Capability.DECISION, decision.detail), _no(Capability.DECISION_PICTURE, "no typed decisions")]
        decided = _yes(Capability.DECISION, f"P(true) {decision:.3f}")
        problems = []
        for shape in typed_decisions.PictureShape:
            results = [
                await self._requests.decide("Is this picture white?", grey_url(_IMAGE_SIDE, colour), shape)
                for colour in (0, 0, 255)
            ]
            ps = [each for each in results if not isinstance(each, NoCompletion)]
            if len(ps) < len(results):
                problems.append(f"{shape}: {next(each.detail for each in results if isinstance(each, NoCompletion))}")
                continue
            noise, signal = abs(ps[0] - ps[1]), abs(ps[0] - ps[2])
            if signal > max(_MIN_DIFFERENCE, _MIN_SIGNAL_TO_NOISE * noise):
                evidence = f"as {shape}: black and white differ by {signal:.2g}, black and black by {noise:.2g}"
                return [decided, _yes(Capability.DECISION_PICTURE, evidence, str(shape))]
            problems.append(f"{shape}: black and white give the same answer")
        return [decided, _no(Capability.DECISION_PICTURE, "; ".join(problems))]

    async def _colour_probabilities(self, colour: int) -> dict[str, float] | NoCompletion:
        """Return the first token's probabilities for a grey image, or the whole text with probability 1."""
        fields: dict[str, Any] = dict(self._logprobs or {"max_tokens": 16})
        completion = await self._requests.complete(
            _COLOUR_PROMPT, grey_url(_IMAGE_SIDE, colour), exact=bool(self._logprobs), **fields
        )
        if isinstance(completion, NoCompletion):
            return completion
        return _first_token_probabilities(completion.choice) or {completion.text: 1.0}


def _label_mass(completion: Completion) -> float:
    """Return the share of the probability on yes and no; 0 without log-probabilities."""
    listed = first_tokens(completion.choice)
    return (from_tokens(listed).label_mass or 0.0) if listed else 0.0


def _first_token_probabilities(choice: Any) -> dict[str, float]:
    return {token: math.exp(min(0.0, logprob)) for token, logprob in first_tokens(choice) or ()}


def _difference(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return max((abs(one.get(token, 0.0) - other.get(token, 0.0)) for token in {*one, *other}), default=0.0)


def _quoted(text: str) -> str:
    return json.dumps(display_text(text, limit=40), ensure_ascii=False)


def _result(name: Capability, seen: Support, evidence: str, value: Any = None) -> ProbedCapability:
    return ProbedCapability(name=name, seen=seen, evidence=display_text(evidence, limit=160), value=value)


def _yes(name: Capability, evidence: str, value: Any = None) -> ProbedCapability:
    return _result(name, Support.YES, evidence, value)


def _no(name: Capability, evidence: str, value: Any = None) -> ProbedCapability:
    return _result(name, Support.NO, evidence, value)


def _unknown(name: Capability, evidence: str, value: Any = None) -> ProbedCapability:
    return _result(name, Support.UNKNOWN, evidence, value)


def _yes_if(name: Capability, proved: bool, evidence: str) -> ProbedCapability:
    return _yes(name, evidence) if proved else _no(name, evidence)


def _no_answer(name: Capability, problem: NoCompletion) -> ProbedCapability:
    """Report a request without an answer: a refusal proves that the capability is missing, a failure nothing."""
    return _no(name, problem.detail) if problem.refused else _unknown(name, problem.detail)


def _restricted(name: Capability, completion: Completion, allowed: Sequence[str], evidence: str) -> ProbedCapability:
    """Report a restriction to the `allowed` texts, without blanks; if only the start of one was returned, unknown."""
    text = "".join(completion.text.split())
    if completion.cut and text not in allowed and any(each.startswith(text) for each in allowed):
        return _unknown(name, f"cut off; {evidence}")
    return _yes_if(name, text in allowed, evidence)
