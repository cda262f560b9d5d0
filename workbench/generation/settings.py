"""The tables [generate] and [engines.NAME] of negwb.toml: read strictly, like all of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

from curation_db.generation_words import Method
from curation_db.words import Question
from workbench.errors import UsageError
from workbench.generation.engines.protocol import EngineSettings
from workbench.generation.recipe import ANNOTATIONS, Judge, Mix, Pipeline, Prior, Rule, Unclear

_KINDS: Final = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
_ENUMS: Final[Mapping[str, type[StrEnum]]] = {"rule": Rule, "mix": Mix, "unclear": Unclear, "prior": Prior}
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "threshold": (0, 1), "least_label_mass": (0, 1), "attempts": (1, 20), "rewrites": (1, 20), "seed": (0, 2**31 - 1),
    "concurrency": (1, 4096), "timeout": (0.1, 86_400), "tries": (1, 100), "picture_side": (16, 8192),
    "picture_tokens": (0, 100_000), "price_in": (0, 1e9), "price_out": (0, 1e9), "samples": (1, 1000),
    "batch": (1, 4096),
}  # fmt: skip
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "method": ("auto", *(str(each) for each in Method if each is not Method.SCORE)),
    "pictures": ("data", "file"),
}
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_INLINE: Final = re.compile(r"(openai|transformers|scripted|clip):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateSettings:
    """The table [generate]."""

    proposer: str = ""
    """Engine that proposes and rewrites."""
    judges: tuple[str, ...] = ()
    """Engines that judge, each with :present or :acceptable behind it where it is asked one question only;
    "annotations" looks into the record."""
    prompts_p1: str = "negwb-p1-1"
    """A prompt set by its name, or a file."""
    prompts_p2: str = "negwb-p2-1"
    rule: Rule = Rule.MEAN
    threshold: float = 0.5
    attempts: int = 3
    rewrites: int = 2
    mix: Mix = Mix.BALANCED
    unclear: Unclear = Unclear.KEEP
    prior: Prior = Prior.OFF
    least_label_mass: float = 0.5
    seed: int = 0
    engines: Mapping[str, EngineSettings] = field(default_factory=dict)
    """The tables [engines.NAME]."""

    def prompts(self, pipeline: Pipeline) -> str:
        """The prompt set of a pipeline."""
        return self.prompts_p1 if pipeline is Pipeline.P1 else self.prompts_p2

    def changed(self, told: Mapping[str, Any], where: str) -> GenerateSettings:
        """These settings with `told` on top.

        Raises:
            UsageError: an unknown name or a value that cannot be meant; `where` begins its line.
        """
        return replace(self, **_checked(told, where))


_FIELDS: Final = {each.name: each for each in fields(GenerateSettings) if each.name != "engines"}
_ENGINE_FIELDS: Final = {each.name: each for each in fields(EngineSettings) if each.name != "name"}


def generate_settings(generate: Any, engines: Any, where: str) -> GenerateSettings:
    """The settings that the two tables tell.

    Raises:
        UsageError: an unknown name or a value that cannot be meant; `where`, the file, begins its line.
    """
    told = _table(generate, "generate", where)
    named = {
        name: engine_settings(name, table, f"{where}: [engines.{name}]")
        for name, table in _table(engines, "engines", where).items()
    }
    return replace(GenerateSettings(engines=named), **_checked(told, f"{where}: [generate]"))


def _table(told: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise UsageError(f"{where}: {name} = {told!r}: a table is expected", hint=f"begin it with the line [{name}]")
    return told


def _checked(told: Mapping[str, Any], where: str) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, value in told.items():
        if name not in _FIELDS:
            raise UsageError(f"{where} has no setting {name!r}", hint=f"known: {', '.join(_FIELDS)}")
        if name == "judges":
            checked[name] = _names(value, f"{where} {name}")
        elif name in _ENUMS:
            checked[name] = _word(_ENUMS[name], value, f"{where} {name}")
        else:
            checked[name] = _plain(name, value, type(_FIELDS[name].default), where)
    return checked


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
        raise UsageError(f"{where} = {value!r}: a list of names", hint='as in: judges = ["llava", "annotations"]')
    for each in value:
        judge_of(each, where)
    return tuple(value)


def _word(kind: type[StrEnum], value: Any, where: str) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"{where} = {value!r}", hint=f"one of: {', '.join(kind)}") from None


def _plain(name: str, value: Any, kind: type, where: str) -> Any:
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits:
        raise UsageError(f"{where} {name} = {value!r}", hint=f"what is expected: {_KINDS[kind]}")
    if name in _RANGES and not _RANGES[name][0] <= value <= _RANGES[name][1]:
        low, high = _RANGES[name]
        raise UsageError(f"{where} {name} = {value!r}", hint=f"from {low:g} to {high:g}")
    if name in _WORDS and value not in _WORDS[name]:
        raise UsageError(f"{where} {name} = {value!r}", hint=f"one of: {', '.join(_WORDS[name])}")
    return value


def engine_settings(name: str, told: Any, where: str) -> EngineSettings:
    """The settings of one engine.

    Raises:
        UsageError: as `generate_settings`.
    """
    if not _NAME.fullmatch(name) or name == ANNOTATIONS:
        raise UsageError(f"{where}: {name!r} is no name for an engine", hint="letters, digits, and . _ - within")
    table = _table(told, where, where)
    checked: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _ENGINE_FIELDS:
            raise UsageError(
                f"{where} has no setting {key!r}",
                hint=f"known: {', '.join(_ENGINE_FIELDS)}; further fields of requests: [engines.{name}.options]",
            )
        if key == "options":
            checked[key] = _table(value, f"{where}.options", where)
        else:
            kind = float if key in ("price_in", "price_out") else type(_ENGINE_FIELDS[key].default)
            checked[key] = _plain(key, value, str if key == "kind" else kind, where)
    if not checked.get("kind"):
        raise UsageError(f"{where} has no kind", hint='as in: kind = "openai", or transformers, clip, scripted')
    return EngineSettings(name=name, **checked)


def inline_engine(words: str, taken: Sequence[str] = ()) -> EngineSettings | None:
    """An engine said in one word on the command line: openai:URL, openai:URL#MODEL, transformers:MODEL, clip:MODEL,
    scripted:WORLD. None: it is none of these, so it must be a name."""
    found = _INLINE.fullmatch(words)
    if found is None:
        return None
    kind, rest = found[1], found[2]
    url, _, model = rest.partition("#") if kind == "openai" else ("", "", rest)
    bare = (model or url).partition("?")[0].rpartition("://")[2].rstrip("/")
    if not model:
        bare = bare.rpartition("@")[2]  # a password is no part of a name
    stem = re.sub(r"[^\w.-]+", "-", bare).strip("-.")[-48:] or kind
    name = stem if _NAME.fullmatch(stem) and stem != ANNOTATIONS else kind
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return EngineSettings(name=free, kind=kind, url=url, model=model)


def judge_of(words: str, where: str = "--judge") -> tuple[str, frozenset[Question]]:
    """The engine (a name, or said in one word) and the questions of a judge as it is written: llava,
    llava:present, openai:http://host/v1:acceptable.

    Raises:
        UsageError: nothing is named.
    """
    name, colon, question = words.rpartition(":")
    known = {str(each): each for each in Question}
    if not colon or question not in known:
        name, asked = words, frozenset(Question)
    else:
        asked = frozenset({known[question]})
    if not name:
        raise UsageError(f"{where} {words!r} names no engine")
    return name, asked


def judges_of(named: Sequence[tuple[str, frozenset[Question]]], kinds: Mapping[str, str]) -> tuple[Judge, ...]:
    """The judges of a recipe: what is written, but for questions that a judge cannot answer.

    CLIP's margin says nothing about a concept, and annotations say nothing about wording.
    """
    judges = []
    for name, asked in named:
        able = asked
        if name == ANNOTATIONS:
            able = asked & {Question.PRESENT}
        elif kinds.get(name) == "clip":
            able = asked & {Question.ACCEPTABLE}
        if not able:
            raise UsageError(f"the judge {name} cannot answer: {', '.join(sorted(asked))}")
        judges.append(Judge(name=name, questions=able))
    return tuple(judges)
