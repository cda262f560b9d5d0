"""Loader of prompt files, which users can write themselves. Strict validation with one-line errors.

Placeholders are written in braces, as in {caption}. They are filled in one pass: braces in the values stay as they are.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from curation_db.language.sanitize import display_text
from curation_db.validation import ValidationError, validate
from workbench import generation
from workbench.errors import UsageError
from workbench.generation.engines.requests import Message, Sampling
from workbench.generation.prompts.cue_mix import CUES, FREE, POSITIONS
from workbench.workspace.engine_settings import Pipeline

_Table = TypeVar("_Table")
FOLDER: Final = Path(generation.__file__).with_name("prompts")
# fmt: off
_FIELDS: Final = {
    "propose": {"caption"},
    "propose-again": {"caption", "found"},
    "propose-random": {"caption", "found"},
    "presence": {"concept", "a_concept", "be", "Be", "question"},
    "rewrite": {"caption", "concept", "a_concept", "be", "Be", "question", "cue", "position", "cue_phrase",
                "position_phrase"},
    "acceptable": {"text", "caption", "concept", "a_concept"},
}
# fmt: on
"""Stage to the placeholders that it fills."""
_REQUIRED_STAGES: Final = {Pipeline.P1: ("propose", "presence", "rewrite"), Pipeline.P2: ("presence", "rewrite")}
_IMAGE_STAGES: Final = frozenset(("presence", "acceptable"))
"""Stages with an image."""
_PHRASES: Final = {"cue": (FREE, *CUES), "position": (FREE, *POSITIONS)}
_ROLES: Final = ("system", "user", "assistant")
_IMAGE: Final = "<image>"
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePrompt:
    """Prompt of one stage."""

    messages: tuple[Message, ...]
    sampling: Sampling
    picture: bool = False
    """Whether the last message has the image."""
    raw: str | None = None
    """The prompt as one string with an <image> placeholder."""
    phrases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Texts of {cue_phrase} and {position_phrase} for each cue and position."""

    def uses(self, name: str) -> bool:
        """Whether {name} or {name_phrase} is among its placeholders."""
        used = {each for message in self.messages for each in _PLACEHOLDER.findall(message.text)}
        return bool(used & {name, f"{name}_phrase"})

    def filled(self, fields: Mapping[str, str]) -> tuple[tuple[Message, ...], str | None]:
        """Return the messages and the raw string with the placeholders filled."""
        values = dict(fields)
        for name, table in self.phrases.items():
            values[f"{name}_phrase"] = table[values.get(name) or FREE]
        messages = tuple(Message(message.role, fill(message.text, values)) for message in self.messages)
        # A value that contains <image> must not count as a second image.
        plain = {name: value.replace(_IMAGE, "image") for name, value in values.items()}
        return messages, None if self.raw is None else fill(self.raw, plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSet:
    """All prompts of a pipeline, from one file."""

    name: str
    version: str
    """name@hash: the first 12 hex digits of the SHA-256 of the file with normalised line ends."""
    content: str
    """Text of the file."""
    about: str
    source: str
    pipeline: Pipeline
    stages: Mapping[str, StagePrompt]

    def stage(self, name: str, *others: str) -> StagePrompt | None:
        """Return the stage `name`, or the first existing one of `others`."""
        return next((self.stages[each] for each in (name, *others) if each in self.stages), None)


def fill(text: str, fields: Mapping[str, str]) -> str:
    """Fill the placeholders of `text`; unknown placeholders stay."""
    return _PLACEHOLDER.sub(lambda match: fields.get(match[1], match[0]), text)


def prompt_set_names() -> tuple[str, ...]:
    """Return the names of the included prompt sets."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def find_prompts(name: str) -> PromptSet:
    """Return the included set `name`, or the set in the file `name`.

    Raises:
        UsageError: neither exists, or the file is invalid.
    """
    if name in prompt_set_names():
        return load_prompts(FOLDER / f"{name}.toml")
    path = Path(name)
    if not path.is_file():
        names = ", ".join(prompt_set_names())
        raise UsageError(f"unknown prompt set {display_text(name)!r}", hint=f"use a file, or one of: {names}")
    return load_prompts(path)


def load_prompts(path: Path) -> PromptSet:
    """Load a prompt set from a file.

    Raises:
        UsageError: the file cannot be read or is invalid.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8", hint="save the file as UTF-8") from error
    return parse_prompts(text, str(path))


def parse_prompts(text: str, where: str) -> PromptSet:
    """Parse the text of a prompt file; `where` names the file in errors.

    Raises:
        UsageError: invalid; the message names file, stage and problem.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: {error}") from error
    known = (*_Head.__slots__, *_FIELDS)
    if unknown := [key for key in content if key not in known]:
        raise _invalid(f"{where}: unknown key {display_text(repr(unknown[0]))}; known: {', '.join(known)}")
    head = _validated({key: value for key, value in content.items() if key not in _FIELDS}, _Head, where)
    stages = {name: _stage(name, content[name], f"{where}: [{name}]") for name in _FIELDS if name in content}
    for name in _REQUIRED_STAGES[head.pipeline]:
        if name not in stages:
            raise _invalid(f"{where}: {head.pipeline} needs a stage [{name}]")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return PromptSet(
        name=head.name,
        version=f"{head.name}@{digest}",
        content=text,
        about=" ".join(head.about.split()),
        source=head.source,
        pipeline=head.pipeline,
        stages=MappingProxyType(stages),
    )


def _not_blank(text: str | None) -> str:
    return "" if text is None or text.strip() else "a text that is not blank"


def _set_name(name: str) -> str:
    return "" if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,59}", name) else "small letters, digits, points and dashes"


_TEXT: Final = {"check": _not_blank}


@dataclass(frozen=True, slots=True)
class _Head:
    """Top-level keys of a prompt file."""

    name: str = field(metadata={"check": _set_name})
    pipeline: Pipeline
    about: str = field(metadata=_TEXT)
    source: str = field(metadata=_TEXT)


@dataclass(frozen=True, slots=True)
class _MessageTable:
    role: str = field(metadata={"choices": _ROLES})
    text: str = field(metadata=_TEXT)
    picture: bool = False


@dataclass(frozen=True, slots=True)
class _StageTable:
    messages: list[_MessageTable] = field(metadata={"check": lambda messages: "" if messages else "a message"})
    temperature: float = field(default=0.0, metadata={"at_least": 0.0, "at_most": 2.0})
    top_p: float = field(default=1.0, metadata={"at_least": 0.0, "at_most": 1.0})
    max_tokens: int = field(default=64, metadata={"at_least": 1, "at_most": 4096})
    raw: str | None = field(default=None, metadata=_TEXT)
    phrases: dict[str, dict[str, str]] = field(default_factory=dict)


def _invalid(message: str) -> UsageError:
    return UsageError(message, hint="see the included prompts: negwb generate prompts")


def _validated(content: object, kind: type[_Table], where: str) -> _Table:
    try:
        return validate(content, kind)
    except ValidationError as error:
        raise _invalid(f"{where}{'' if where.endswith(']') else ':'} {display_text(str(error.problems[0]))}") from error


def _stage(name: str, content: object, where: str) -> StagePrompt:
    """Build the stage `name` from its table; every error starts with `where`."""
    table = _validated(content, _StageTable, where)
    _check_phrases(name, table.phrases, where)
    known = _FIELDS[name] - {f"{each}_phrase" for each in _PHRASES if each not in table.phrases}
    for text in (*(message.text for message in table.messages), table.raw or ""):
        _check_placeholders(name, text, known, where)
    *earlier, last = table.messages
    if any(message.picture for message in earlier):
        raise _invalid(f"{where} picture = true: only the last message can have the image")
    if last.role != "user":
        raise _invalid(f"{where} the last message has the role {last.role}: it must be user")
    if table.raw is not None and table.raw.count(_IMAGE) != int(last.picture):
        raise _invalid(f"{where} raw: {'one' if last.picture else 'no'} {_IMAGE} is expected")
    if (name in _IMAGE_STAGES) != last.picture:
        problem = "needs picture = true in its last message" if name in _IMAGE_STAGES else "has no image"
        raise _invalid(f"{where} this stage {problem}")
    return StagePrompt(
        messages=tuple(Message(message.role, message.text) for message in table.messages),
        sampling=Sampling(temperature=table.temperature, top_p=table.top_p, max_tokens=table.max_tokens),
        picture=last.picture,
        raw=table.raw,
        phrases=table.phrases,
    )


def _check_placeholders(stage: str, text: str, known: set[str], where: str) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name in {"cue_phrase", "position_phrase"} & _FIELDS[stage] - known:
            raise _invalid(f"{where} {{{name}}} needs a table [{stage}.phrases.{name.removesuffix('_phrase')}]")
        if name not in known:
            raise _invalid(f"{where} unknown placeholder {{{name}}}; known: {', '.join(sorted(known))}")


def _check_phrases(stage: str, phrases: Mapping[str, Mapping[str, str]], where: str) -> None:
    """Check that each table has a text for every cue or position, and no other keys."""
    for name, table in phrases.items():
        if name not in _PHRASES or f"{name}_phrase" not in _FIELDS[stage]:
            raise _invalid(f"{where} unknown key {display_text(f'phrases.{name}')}")
        for key in (*_PHRASES[name], *table):
            if key not in table:
                raise _invalid(f"{where} phrases.{name}.{key} is missing: a text is expected")
            if key not in _PHRASES[name]:
                raise _invalid(f"{where} unknown key {display_text(f'phrases.{name}.{key}')}")
            if not table[key].strip():
                raise _invalid(f"{where} phrases.{name}.{key}: a text is expected")
