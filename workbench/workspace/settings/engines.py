"""Settings of an engine, and the enumerations of a generation recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from curation_db.enums import Method, Question
from curation_db.validation import setting


class Pipeline(StrEnum):
    """How candidates are generated (Know "No" Better, section on data generation)."""

    P1 = "P1"
    """Object absence: negate a concept that the caption does not name and the judges call absent."""
    P2 = "P2"
    """Diversity: merge a question that annotators answered with no into the caption."""


class JudgeRule(StrEnum):
    """When the judges together call a concept present."""

    MEAN = "mean"
    """The mean of P(present) over the judges with a clear answer is at least the threshold."""
    ANY = "any"
    """At least one judge answers yes."""
    ALL = "all"
    """All judges with a clear answer answer yes."""
    OFFICIAL = "official"
    """The published rule, for comparison: present iff the answer in lower case has "yes"; every other answer, also one
    that is neither, counts as absent; a caption whose concept is present is dropped."""


class Mix(StrEnum):
    """Which cues and positions the rewrites are requested with."""

    BALANCED = "balanced"
    NEGREFCOCOG = "negrefcocog"
    """The distribution of the benchmark. Training on it favours that benchmark, so the manifest names it."""
    FREE = "free"
    """None is requested, as in the published prompts."""


class Edits(StrEnum):
    """How much of a caption a rewrite may change."""

    MINIMAL = "minimal"
    """It inserts one phrase with the cue and the concept; all words of the caption stay."""
    FREE = "free"
    """It may rephrase the caption: for models that always do."""


class Unclear(StrEnum):
    """Treatment of a concept without a clear answer of any judge. It never counts as absent."""

    KEEP = "keep"
    """It becomes a candidate, so an annotator decides."""
    DROP = "drop"


class Prior(StrEnum):
    """Use of a judge's answer about a blank image."""

    OFF = "off"
    STORE = "store"
    """It is requested and stored with each verdict."""
    CORRECT = "correct"
    """The rule uses logit P(present) minus the logit of the prior; the verdict stores both as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    name: str
    """An engine of the settings, or "annotations"."""
    questions: frozenset[Question] = frozenset({Question.PRESENT, Question.ACCEPTABLE})


ANNOTATIONS = "annotations"
"""The judge that reads the record: annotated objects and the other captions of the image."""


class Answers(StrEnum):
    """Answers that a setting of an engine changes. They are sent for again, and items are processed again, when the
    setting changes."""

    NONE = "none"
    ALL = "all"
    WITH_IMAGE = "with image"
    """To requests with an image."""
    YES_NO = "yes or no"
    """To yes-or-no requests."""
    SAMPLED = "sampled"
    """To yes-or-no requests whose probability is a share of several answers."""
    RAW_PROMPT = "raw prompt"
    """To requests whose prompt is published as one string."""


METHODS = ("auto", *(str(each) for each in Method if each is not Method.SCORE))
"""Values of `EngineSettings.method`."""
SENT_FIELDS = ("temperature", "top_p", "max_tokens", "seed")
"""Fields of a request that `omit` and `rename` can name."""
SYSTEM_MESSAGES = ("auto", "keep", "merge")
"""Values of `EngineSettings.system`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """A table [engines.NAME] of negwb.toml. Which fields have an effect depends on the kind.

    `answers` in the metadata of each field says which answers it changes: their keys in the answer cache contain it.
    """

    name: str = field(default="", metadata={"key": False, "answers": Answers.NONE})
    kind: str = field(
        metadata={
            "help": "openai, transformers, clip, scripted, or a kind of a plug-in",
            "expected": 'text in quotes, as in: kind = "openai", or transformers, clip, scripted, a kind of a plug-in',
            "check": lambda kind: "" if kind else "a kind that is not empty",
            "answers": Answers.ALL,
        }
    )
    url: str = setting("", "of an OpenAI-compatible server, with its /v1", answers=Answers.NONE)
    urls: tuple[str, ...] = setting(
        (), "of several servers with the same model, which share the requests", answers=Answers.NONE
    )
    model: str = setting(
        "",
        "as the server names it, a model of the hub, or a folder; empty: the server's only one",
        answers=Answers.ALL,
    )
    key_env: str = setting(
        "", "environment variable with the API key; keys are never written here", answers=Answers.NONE
    )
    headers: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "help": "further headers of every request; $NAME in a value: the environment variable NAME",
            "answers": Answers.NONE,
        },
    )
    query: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "help": 'parameters of every request\'s address, as in headers: {api-version = "2024-10-21"}',
            "answers": Answers.NONE,
        },
    )
    concurrency: int = setting(
        32, "most requests at a time to each server", at_least=1, at_most=4096, answers=Answers.NONE
    )
    timeout: float = setting(120.0, "seconds for one request", at_least=0.1, at_most=86_400, answers=Answers.NONE)
    tries: int = setting(
        6, "requests for one answer before it counts as failed", at_least=1, at_most=100, answers=Answers.NONE
    )
    pictures: str = setting(
        "data",
        "how images are sent: data (a JPEG in the request) or file (a file URL)",
        choices=("data", "file"),
        answers=Answers.NONE,
    )
    picture_side: int = setting(
        672, "longer side of a sent image, in pixels", at_least=16, at_most=8192, answers=Answers.WITH_IMAGE
    )
    picture_tokens: int = setting(
        600, "tokens that estimates count for an image", at_least=0, at_most=100_000, answers=Answers.NONE
    )
    price_in: float | None = setting(None, "per million prompt tokens", at_least=0, at_most=1e9, answers=Answers.NONE)
    price_out: float | None = setting(None, "per million answer tokens", at_least=0, at_most=1e9, answers=Answers.NONE)
    method: str = setting(
        "auto",
        "source of probabilities; auto: the best one that the probe confirmed",
        choices=METHODS,
        answers=Answers.YES_NO,
    )
    samples: int = setting(
        8,
        "answers for one probability, where answers are counted",
        at_least=1,
        at_most=1000,
        answers=Answers.SAMPLED,
    )
    device: str = field(default="auto", metadata={"answers": Answers.NONE})
    dtype: str = field(default="auto", metadata={"answers": Answers.ALL})
    batch: int = setting(
        8, "questions in one forward pass of a local model", at_least=1, at_most=4096, answers=Answers.NONE
    )
    revision: str = setting("", "of a model of the hub", answers=Answers.ALL)
    raw_prompts: bool = setting(
        False,
        "send prompts that are published as one string without the chat template",
        answers=Answers.RAW_PROMPT,
    )
    constrain: bool = setting(
        True, "restrict yes-or-no texts to yes and no where the probe proved that it works", answers=Answers.YES_NO
    )
    omit: tuple[str, ...] | None = setting(
        None,
        "fields that requests leave out, as in seed; replaces what the probe found",
        check=lambda names: "" if set(names) <= set(SENT_FIELDS) else f"some of: {', '.join(SENT_FIELDS)}",
        answers=Answers.ALL,
    )
    rename: Mapping[str, str] | None = setting(
        None,
        "other names of fields of a request; replaces what the probe found",
        check=lambda names: "" if set(names) <= set(SENT_FIELDS) else f"names for: {', '.join(SENT_FIELDS)}",
        answers=Answers.ALL,
    )
    system: str = setting(
        "auto",
        "system messages: keep, or merge with the user's; auto: what the probe found",
        choices=SYSTEM_MESSAGES,
        answers=Answers.ALL,
    )
    thinking_tokens: int | None = setting(
        None,
        "tokens for the thought of a reasoning model, beyond those of the answer; empty: what the probe found",
        at_least=0,
        at_most=1_000_000,
        answers=Answers.ALL,
    )
    options: Mapping[str, Any] = field(
        default_factory=dict,
        metadata={"help": "further fields of every request, or of a plug-in", "answers": Answers.ALL},
    )

    def __post_init__(self) -> None:
        if not self.url and self.urls:
            object.__setattr__(self, "url", self.urls[0])

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of all servers, each once: `url`, then `urls`."""
        return tuple(dict.fromkeys((self.url, *self.urls)))
