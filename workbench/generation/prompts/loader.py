"""Prompts: what a pipeline says to models, read from files that people can write themselves. Strict, one-line errors.

Placeholders stand in braces, as in {caption}. They are filled in one pass: braces in what is filled in stay braces.
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
"""Stage to the placeholders that it can fill."""
_NEEDED: Final = {Pipeline.P1: ("propose", "presence", "rewrite"), Pipeline.P2: ("presence", "rewrite")}
_LOOKS: Final = frozenset(("presence", "acceptable"))
"""Stages that are about a picture."""
_PHRASES: Final = {"cue": (FREE, *CUES), "position": (FREE, *POSITIONS)}
_ROLES: Final = ("system", "user", "assistant")
_IMAGE: Final = "<image>"
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePrompt:
    """What is said at one stage."""

    messages: tuple[Message, ...]
    sampling: Sampling
    picture: bool = False
    """Whether the picture stands before the last message."""
    raw: str | None = None
    """The same as one string, with <image> in it."""
    phrases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For {cue_phrase} and {position_phrase}: what is said for each cue and position."""

    def uses(self, name: str) -> bool:
        """Whether {name} or {name_phrase} is among its placeholders."""
        said = {each for message in self.messages for each in _PLACEHOLDER.findall(message.text)}
        return bool(said & {name, f"{name}_phrase"})

    def filled(self, fields: Mapping[str, str]) -> tuple[tuple[Message, ...], str | None]:
        """The messages and the raw string with `fields` in the place of the placeholders."""
        told = dict(fields)
        for name, table in self.phrases.items():
            told[f"{name}_phrase"] = table[told.get(name) or FREE]
        messages = tuple(Message(message.role, fill(message.text, told)) for message in self.messages)
        # A text that says <image> must not count as a second picture.
        plain = {name: value.replace(_IMAGE, "image") for name, value in told.items()}
        return messages, None if self.raw is None else fill(self.raw, plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSet:
    """All prompts of a pipeline."""

    name: str
    version: str
    """name@hash: twelve hex digits over the file, line ends aside."""
    content: str
    """The file."""
    about: str
    source: str
    pipeline: Pipeline
    stages: Mapping[str, StagePrompt]

    def stage(self, name: str, *others: str) -> StagePrompt | None:
        """The stage of that name, or the first of `others` that there is."""
        return next((self.stages[each] for each in (name, *others) if each in self.stages), None)


def fill(text: str, fields: Mapping[str, str]) -> str:
    """`text` with its placeholders filled; one of another name stays as it is."""
    return _PLACEHOLDER.sub(lambda match: fields.get(match[1], match[0]), text)


def prompt_set_names() -> tuple[str, ...]:
    """The sets that come with negwb."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def find_prompts(told: str) -> PromptSet:
    """The set of that name, or the one in the file `told`.

    Raises:
        UsageError: there is neither, or the file is not as it should be.
    """
    if told in prompt_set_names():
        return load_prompts(FOLDER / f"{told}.toml")
    path = Path(told)
    if not path.is_file():
        names = ", ".join(prompt_set_names())
        raise UsageError(f"there are no prompts {display_text(told)!r}", hint=f"name a file, or one of: {names}")
    return load_prompts(path)


def load_prompts(path: Path) -> PromptSet:
    """The set in a file.

    Raises:
        UsageError: it cannot be read, or is not as it should be.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8", hint="save the file as UTF-8") from error
    return parse_prompts(text, str(path))


def parse_prompts(text: str, where: str) -> PromptSet:
    """The set that the text of a file tells; `where` names the file in errors.

    Raises:
        UsageError: file, stage and what is off.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: {error}") from error
    known = (*_Head.__slots__, *_FIELDS)
    if unknown := [key for key in content if key not in known]:
        raise _wrong(f"{where}: unknown key {display_text(repr(unknown[0]))}; known: {', '.join(known)}")
    head = _validated({key: value for key, value in content.items() if key not in _FIELDS}, _Head, where)
    stages = {name: _stage(name, content[name], f"{where}: [{name}]") for name in _FIELDS if name in content}
    for name in _NEEDED[head.pipeline]:
        if name not in stages:
            raise _wrong(f"{where}: {head.pipeline} needs a stage [{name}]")
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
    """The keys of a file outside its stages."""

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


def _wrong(message: str) -> UsageError:
    return UsageError(message, hint="prompts that come with negwb show how: negwb generate prompts")


def _validated(content: object, kind: type[_Table], where: str) -> _Table:
    try:
        return validate(content, kind)
    except ValidationError as error:
        raise _wrong(f"{where}{'' if where.endswith(']') else ':'} {display_text(str(error.problems[0]))}") from error


def _stage(name: str, content: object, where: str) -> StagePrompt:
    """The stage `name` from its table; `where` is the beginning of every error."""
    table = _validated(content, _StageTable, where)
    _check_phrases(name, table.phrases, where)
    known = _FIELDS[name] - {f"{each}_phrase" for each in _PHRASES if each not in table.phrases}
    for text in (*(message.text for message in table.messages), table.raw or ""):
        _check_placeholders(name, text, known, where)
    *earlier, last = table.messages
    if any(message.picture for message in earlier):
        raise _wrong(f"{where} picture = true: only the last message can have the picture")
    if last.role != "user":
        raise _wrong(f"{where} the last message is the {last.role}'s: the user asks last")
    if table.raw is not None and table.raw.count(_IMAGE) != int(last.picture):
        raise _wrong(f"{where} raw: {'one' if last.picture else 'no'} {_IMAGE} is expected")
    if (name in _LOOKS) != last.picture:
        problem = "needs picture = true in its last message" if name in _LOOKS else "is not about a picture"
        raise _wrong(f"{where} this stage {problem}")
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
            raise _wrong(f"{where} {{{name}}} needs a table [{stage}.phrases.{name.removesuffix('_phrase')}]")
        if name not in known:
            raise _wrong(f"{where} nothing fills {{{name}}} here; known are {', '.join(sorted(known))}")


def _check_phrases(stage: str, phrases: Mapping[str, Mapping[str, str]], where: str) -> None:
    """Every table has a text for each of its cues or positions, and nothing else."""
    for name, table in phrases.items():
        if name not in _PHRASES or f"{name}_phrase" not in _FIELDS[stage]:
            raise _wrong(f"{where} unknown key {display_text(f'phrases.{name}')}")
        for key in (*_PHRASES[name], *table):
            if key not in table:
                raise _wrong(f"{where} phrases.{name}.{key} is missing: a text is expected")
            if key not in _PHRASES[name]:
                raise _wrong(f"{where} unknown key {display_text(f'phrases.{name}.{key}')}")
            if not table[key].strip():
                raise _wrong(f"{where} phrases.{name}.{key}: a text is expected")
