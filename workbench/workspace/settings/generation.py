"""The tables [generate] and [engines.NAME] of negwb.toml, and engines and judges written on the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from curation_db.enums import Question
from curation_db.validation import ValidationError, setting, validate
from workbench.errors import UsageError
from workbench.workspace.settings.engines import (
    ANNOTATIONS,
    Edits,
    EngineSettings,
    JudgeRule,
    JudgeSettings,
    Mix,
    Pipeline,
    Prior,
    Unclear,
)
from workbench.workspace.settings.errors import SettingProblem, SettingsError, settings_error
from workbench.workspace.settings.server_address import plain_url

_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_INLINE: Final = re.compile(r"(openai|transformers|scripted|clip):(.*)", re.DOTALL)
_CLIP: Final = "clip"


def _judge_names(names: tuple[str, ...]) -> str:
    """Return the expected value if a judge has no name; "" otherwise."""
    return "" if all(_split_judge(name)[0] for name in names) else "names of engines"


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
    prompts_p2: str = setting("negwb-p2-1", "prompts of P2 (questions that annotators answered with no)")
    rule: JudgeRule = setting(
        JudgeRule.MEAN,
        "when judges call a concept present: mean, any, all, official (the published rule)",
        example='"mean"',
    )
    threshold: float = setting(0.5, "least mean of P(present) of a present concept", at_least=0, at_most=1)
    attempts: int = setting(3, "concepts tried for a caption until one is absent", at_least=1, at_most=20)
    rewrites: int = setting(2, "rewrites requested until no check fails", at_least=1, at_most=20)
    mix: Mix = setting(Mix.BALANCED, "requested cues and positions: balanced, negrefcocog, free", example='"balanced"')
    edits: Edits = setting(
        Edits.MINIMAL,
        "what a rewrite may change: minimal (one phrase is inserted), free (the caption may be rephrased)",
        example='"minimal"',
    )
    unclear: Unclear = setting(Unclear.KEEP, "a concept without a yes or no: keep (an annotator decides) or drop")
    prior: Prior = setting(Prior.OFF, "ask judges about a blank image too: off, store, correct")
    least_label_mass: float = setting(
        0.5, "an answer is unclear if yes and no together have less probability", at_least=0, at_most=1
    )
    seed: int = setting(0, "random seed", at_least=0, at_most=2**31 - 1)
    engines: Mapping[str, EngineSettings] = field(default_factory=dict, metadata={"key": False})

    def prompts(self, pipeline: Pipeline) -> str:
        return self.prompts_p1 if pipeline is Pipeline.P1 else self.prompts_p2

    def changed(self, values: Mapping[str, Any], where: str) -> GenerateSettings:
        """Return these settings with `values` replaced.

        Args:
            values: Value by name of a field.
            where: The beginning of an error message.

        Raises:
            UsageError: A name is unknown or a value is not allowed.
        """
        try:
            checked = validate(values, GenerateSettings)
        except ValidationError as error:
            raise settings_error(error, where) from error
        return replace(self, **{name: getattr(checked, name) for name in values})


def generate_settings(generate: Any, engines: Any, where: str, text: str = "") -> GenerateSettings:
    """Return the settings of the two tables.

    Args:
        where: The beginning of an error message.
        text: The content of the file, for the line in an error message.

    Raises:
        UsageError: A name is unknown or a value is not allowed.
    """
    try:
        settings = validate(generate, GenerateSettings, path=("generate",))
        parsed = validate(engines, dict[str, EngineSettings], path=("engines",))
    except ValidationError as error:
        raise settings_error(error, where, text) from error
    for name in parsed:
        if not _NAME.fullmatch(name) or name == ANNOTATIONS:
            hint = "use letters, digits and . _ -, beginning with a letter or digit"
            problem = SettingProblem(("engines", name), f"[engines.{name}]: {name!r} is no name for an engine", hint)
            raise SettingsError([problem], where, text)
    return replace(settings, engines={name: replace(engine, name=name) for name, engine in parsed.items()})


def inline_engine(text: str, taken: Sequence[str] = ()) -> EngineSettings | None:
    """Parse an engine written on the command line; None: the text is the name of an engine.

    Args:
        text: openai:URL, openai:URL#MODEL, transformers:MODEL, clip (the base model), clip:MODEL or scripted:WORLD.
        taken: Names that the engine must not get.
    """
    if text == _CLIP and text not in taken:
        return EngineSettings(name=text, kind=_CLIP)
    match = _INLINE.fullmatch(text)
    if match is None:
        return None
    kind, rest = match[1], match[2]
    url, _, model = rest.partition("#") if kind == "openai" else ("", "", rest)
    bare = (model or plain_url(url)).partition("?")[0].rpartition("://")[2].rstrip("/")
    stem = re.sub(r"[^\w.-]+", "-", bare).strip("-.")[-48:] or kind
    name = stem if _NAME.fullmatch(stem) and stem != ANNOTATIONS else kind
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return EngineSettings(name=free, kind=kind, url=url, model=model)


def parse_judge(text: str) -> tuple[str, frozenset[Question]]:
    """Parse a judge, such as llava, llava:present or openai:http://host/v1:acceptable.

    Returns:
        The engine (a name, or as for `inline_engine`) and the questions.

    Raises:
        UsageError: The text names no engine.
    """
    name, questions = _split_judge(text)
    if not name:
        raise UsageError(f"--judge {text!r} names no engine")
    return name, questions


def _split_judge(text: str) -> tuple[str, frozenset[Question]]:
    name, colon, question = text.rpartition(":")
    questions = {str(each): each for each in Question}
    if colon and question in questions:
        return name, frozenset({questions[question]})
    return text, frozenset(Question)


def answerable_judges(
    named: Sequence[tuple[str, frozenset[Question]]], kinds: Mapping[str, str]
) -> tuple[JudgeSettings, ...]:
    """Return the judges of a recipe, without questions that a judge cannot answer.

    CLIP answers whether a concept is present only if that question is named (NAME:present), and annotations do not
    answer whether a caption is acceptable.

    Args:
        named: Engine and questions of each judge.
        kinds: Kind of each engine by its name.

    Raises:
        UsageError: A judge can answer none of its questions.
    """
    judges = []
    for name, questions in named:
        able = questions
        if name == ANNOTATIONS:
            able = questions & {Question.PRESENT}
        elif kinds.get(name) == "clip":
            able = questions & {Question.ACCEPTABLE} or questions
        if not able:
            raise UsageError(f"the judge {name} cannot answer: {', '.join(sorted(questions))}")
        judges.append(JudgeSettings(name=name, questions=able))
    return tuple(judges)
