"""The tables [generate] and [engines.NAME] of negwb.toml: read strictly, like all of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from curation_db.enums import Question
from curation_db.validation import ValidationError, setting, validate
from workbench.errors import UsageError
from workbench.workspace.engine_settings import (
    ANNOTATIONS,
    EngineSettings,
    JudgeRule,
    JudgeSettings,
    Mix,
    Pipeline,
    Prior,
    Unclear,
)
from workbench.workspace.setting_errors import settings_error

_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_INLINE: Final = re.compile(r"(openai|transformers|scripted|clip):(.*)", re.DOTALL)


def _judge_names(names: tuple[str, ...]) -> str:
    """What is expected where a name is missing; empty where every judge has one."""
    return "" if all(_split_judge(each)[0] for each in names) else "names of engines"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateSettings:
    """The table [generate], with the tables [engines.NAME]."""

    proposer: str = setting("", "the engine that proposes concepts and rewrites captions", example='"llama"')
    judges: tuple[str, ...] = setting(
        (),
        "the engines that judge; NAME:present or NAME:acceptable: only this question; annotations: the record",
        example='["llava", "annotations"]',
        check=_judge_names,
    )
    prompts_p1: str = setting("negwb-p1-1", "prompts of P1 (object absence): the name of a set, or a file")
    prompts_p2: str = setting("negwb-p2-1", "prompts of P2 (questions that people answered with no)")
    rule: JudgeRule = setting(
        JudgeRule.MEAN,
        "when judges call a concept present: mean, any, all, official (the published rule)",
        example='"mean"',
    )
    threshold: float = setting(0.5, "least mean of P(present) of a present concept", at_least=0, at_most=1)
    attempts: int = setting(3, "concepts tried for a caption until one is absent", at_least=1, at_most=20)
    rewrites: int = setting(2, "rewrites requested until no check fails", at_least=1, at_most=20)
    mix: Mix = setting(Mix.BALANCED, "requested cues and positions: balanced, negrefcocog, free", example='"balanced"')
    unclear: Unclear = setting(Unclear.KEEP, "a concept without a yes or no: keep (a person decides) or drop")
    prior: Prior = setting(Prior.OFF, "ask judges about a blank image too: off, store, correct")
    least_label_mass: float = setting(
        0.5, "an answer is unclear if yes and no together have less probability", at_least=0, at_most=1
    )
    seed: int = setting(0, "random seed", at_least=0, at_most=2**31 - 1)
    engines: Mapping[str, EngineSettings] = field(default_factory=dict, metadata={"key": False})

    def prompts(self, pipeline: Pipeline) -> str:
        """The prompt set of a pipeline."""
        return self.prompts_p1 if pipeline is Pipeline.P1 else self.prompts_p2

    def changed(self, values: Mapping[str, Any], where: str) -> GenerateSettings:
        """These settings with `values` instead of their own.

        Raises:
            UsageError: an unknown name, or a value that is not allowed; `where` begins the message.
        """
        try:
            checked = validate(values, GenerateSettings)
        except ValidationError as error:
            raise settings_error(error, where) from error
        return replace(self, **{name: getattr(checked, name) for name in values})


def generate_settings(generate: Any, engines: Any, where: str, text: str = "") -> GenerateSettings:
    """The settings in the two tables.

    Raises:
        UsageError: an unknown name, or a value that is not allowed; `where` begins the message, and `text`, the
            file's content, has the line.
    """
    try:
        settings = validate(generate, GenerateSettings, path=("generate",))
        read = validate(engines, dict[str, EngineSettings], path=("engines",))
    except ValidationError as error:
        raise settings_error(error, where, text) from error
    for name in read:
        if not _NAME.fullmatch(name) or name == ANNOTATIONS:
            hint = "letters, digits, and . _ - within"
            raise UsageError(f"{where} [engines.{name}]: {name!r} is no name for an engine", hint=hint)
    return replace(settings, engines={name: replace(engine, name=name) for name, engine in read.items()})


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
    name, asked = _split_judge(words)
    if not name:
        raise UsageError(f"{where} {words!r} names no engine")
    return name, asked


def _split_judge(words: str) -> tuple[str, frozenset[Question]]:
    name, colon, question = words.rpartition(":")
    known = {str(each): each for each in Question}
    return (name, frozenset({known[question]})) if colon and question in known else (words, frozenset(Question))


def judges_of(named: Sequence[tuple[str, frozenset[Question]]], kinds: Mapping[str, str]) -> tuple[JudgeSettings, ...]:
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
        judges.append(JudgeSettings(name=name, questions=able))
    return tuple(judges)
