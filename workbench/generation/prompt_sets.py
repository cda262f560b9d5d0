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
from typing import Any, Final, NoReturn

from curation_db.text import display_text
from workbench import generation
from workbench.errors import UsageError
from workbench.generation.asks import Message, Sampling
from workbench.generation.mixes import CUES, FREE, POSITIONS
from workbench.workspace.engine_settings import Pipeline

FOLDER: Final = Path(generation.__file__).with_name("prompts")
_FIELDS: Final = {
    "propose": {"caption"},
    "propose-again": {"caption", "found"},
    "propose-random": {"caption", "found"},
    "presence": {"concept", "a_concept", "be", "Be", "question"},
    "rewrite": {"caption", "concept", "a_concept", "be", "Be", "question", "cue", "position", "cue_phrase",
                "position_phrase"},
    "acceptable": {"text", "caption", "concept", "a_concept"},
}  # fmt: skip
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
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: {error}") from error
    reader = _Reader(where)
    name = reader.string(told, "name")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,59}", name):
        reader.fail(f"name = {name!r}: small letters, digits, points and dashes are expected")
    pipeline = reader.pipeline(told)
    known = {"name", "about", "source", "pipeline", *_FIELDS}
    reader.only(told, known)
    stages = {stage: reader.at(stage).stage(told[stage]) for stage in _FIELDS if stage in told}
    for stage in _NEEDED[pipeline]:
        if stage not in stages:
            reader.fail(f"{pipeline} needs a stage [{stage}]")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return PromptSet(
        name=name, version=f"{name}@{digest}", content=text, about=" ".join(reader.string(told, "about").split()),
        source=reader.string(told, "source"), pipeline=pipeline, stages=MappingProxyType(stages),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads tables, and knows where it is."""

    where: str
    part: str = ""

    def at(self, part: str) -> _Reader:
        return _Reader(self.where, part)

    def fail(self, what: str) -> NoReturn:
        place = f" [{self.part}]" if self.part else ""
        raise UsageError(
            f"{self.where}:{place} {what}", hint="prompts that come with negwb show how: negwb generate prompts"
        )

    def only(self, table: Mapping[str, Any], known: set[str]) -> None:
        for key in table:
            if key not in known:
                self.fail(f"there is no {display_text(key)!r}; known are {', '.join(sorted(known))}")

    def string(self, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            self.fail(f"{key} is missing: a text is expected" if key not in table else f"{key}: a text is expected")
        return value

    def number(self, table: Mapping[str, Any], key: str, default: float, span: tuple[float, float]) -> float:
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not span[0] <= value <= span[1]:
            self.fail(f"{key} = {value!r}: a number from {span[0]:g} to {span[1]:g} is expected")
        return value

    def pipeline(self, told: Mapping[str, Any]) -> Pipeline:
        try:
            return Pipeline(self.string(told, "pipeline"))
        except ValueError:
            self.fail(f"pipeline = {told['pipeline']!r}: {' or '.join(Pipeline)} is expected")

    def stage(self, told: Any) -> StagePrompt:
        if not isinstance(told, dict):
            self.fail("a table is expected")
        self.only(told, {"temperature", "top_p", "max_tokens", "messages", "raw", "phrases"})
        phrases = self._phrases(told.get("phrases", {}))
        known = _FIELDS[self.part] - {f"{name}_phrase" for name in _PHRASES if name not in phrases}
        messages, picture = self._messages(told.get("messages"), known)
        raw = self.string(told, "raw") if "raw" in told else None
        if raw is not None:
            self._placeholders(raw, known)
            if raw.count(_IMAGE) != int(picture):
                self.fail(f"raw: {'one' if picture else 'no'} {_IMAGE} is expected")
        if (self.part in _LOOKS) != picture:
            wrong = "needs picture = true in its last message" if self.part in _LOOKS else "is not about a picture"
            self.fail(f"this stage {wrong}")
        sampling = Sampling(
            temperature=self.number(told, "temperature", 0.0, (0.0, 2.0)),
            top_p=self.number(told, "top_p", 1.0, (0.0, 1.0)),
            max_tokens=self._whole(told, "max_tokens", 64),
        )
        return StagePrompt(messages=messages, sampling=sampling, picture=picture, raw=raw, phrases=phrases)

    def _whole(self, told: Mapping[str, Any], key: str, default: int) -> int:
        value = self.number(told, key, default, (1, 4096))
        if not isinstance(value, int):
            self.fail(f"{key} = {value!r}: a whole number is expected")
        return value

    def _messages(self, told: Any, known: set[str]) -> tuple[tuple[Message, ...], bool]:
        if not isinstance(told, list) or not told or not all(isinstance(each, dict) for each in told):
            self.fail("messages are missing: [[STAGE.messages]] with role and text are expected")
        messages, picture = list[Message](), False
        for number, each in enumerate(told):
            self.only(each, {"role", "text", "picture"})
            role, text = self.string(each, "role"), self.string(each, "text")
            if role not in _ROLES:
                self.fail(f"role = {role!r}: {', '.join(_ROLES)} are known")
            self._placeholders(text, known)
            has_picture = each.get("picture", False)
            if has_picture is True and number == len(told) - 1:
                picture = True
            elif has_picture is not False:
                self.fail(f"picture = {has_picture!r}: the picture stands in the last message, as picture = true")
            messages.append(Message(role, text))
        if messages[-1].role != "user":
            self.fail(f"the last message is the {messages[-1].role}'s: the user asks last")
        return tuple(messages), picture

    def _placeholders(self, text: str, known: set[str]) -> None:
        for name in _PLACEHOLDER.findall(text):
            if name in {"cue_phrase", "position_phrase"} & _FIELDS[self.part] - known:
                self.fail(f"{{{name}}} needs a table [{self.part}.phrases.{name.removesuffix('_phrase')}]")
            if name not in known:
                self.fail(f"nothing fills {{{name}}} here; known are {', '.join(sorted(known))}")

    def _phrases(self, told: Any) -> Mapping[str, Mapping[str, str]]:
        if not isinstance(told, dict):
            self.fail("phrases: a table is expected")
        self.only(told, {name for name in _PHRASES if f"{name}_phrase" in _FIELDS[self.part]})
        tables = {}
        for name, table in told.items():
            if not isinstance(table, dict):
                self.fail(f"phrases.{name}: a table is expected")
            self.only(table, set(_PHRASES[name]))
            tables[name] = {key: self.string(table, key) for key in _PHRASES[name]}
        return tables
