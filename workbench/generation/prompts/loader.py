"""Loader of prompt files, which users can write themselves. Strict validation with one-line errors.

Placeholders are written in braces, as in {caption}. They are filled in one pass: braces in the values stay as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from curation_db.language.sanitize import display_text
from curation_db.validation import ValidationError, closest, key_text, validate
from workbench import generation
from workbench.errors import UsageError
from workbench.generation.engines.requests import Message, Sampling
from workbench.generation.prompts.cue_mix import CUES, FREE, POSITIONS
from workbench.workspace.settings.engines import Pipeline
from workbench.workspace.settings.toml_edit import line_of_key_or_header
from workbench.workspace.settings.toml_file import parse_toml, read_toml_text

_Table = TypeVar("_Table")
WORKSPACE_FOLDER: Final = "prompts"
"""Folder of a workspace's own prompt sets."""
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
_HINT: Final = "see the included prompts: negwb generate prompts"
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


@dataclass(frozen=True, slots=True)
class TunedFrom:
    """The table [tuned]: from which decisions a prompt version was made."""

    base: str = field(metadata={"check": lambda text: "" if text.strip() else "a text that is not blank"})
    """Version of the prompt set before."""
    seed: int
    """Seed of the draw."""
    decisions: list[str]
    """Events (their uid) of the decisions that are examples."""
    decisions_sha256: str
    """See `curation_db.generation.tuning_examples.decisions_hash`."""


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
    tuned: TunedFrom | None = None
    """None: no prompt that `negwb generate tune` wrote."""

    def stage(self, name: str, *others: str) -> StagePrompt | None:
        """Return the stage `name`, or the first existing one of `others`."""
        return next((self.stages[each] for each in (name, *others) if each in self.stages), None)


def fill(text: str, fields: Mapping[str, str]) -> str:
    """Fill the placeholders of `text`; unknown placeholders stay."""
    return _PLACEHOLDER.sub(lambda match: fields.get(match[1], match[0]), text)


def prompt_set_names() -> tuple[str, ...]:
    """Return the names of the included prompt sets."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def workspace_sets(folder: Path) -> tuple[str, ...]:
    """Return the names of the prompt sets in the folder "prompts" of the workspace `folder`."""
    return tuple(sorted(path.stem for path in (folder / WORKSPACE_FOLDER).glob("*.toml")))


def find_prompts(name: str, folder: Path | None = None) -> PromptSet:
    """Return the included set `name`, or the set in the file `name`.

    Args:
        folder: Of the workspace. A set in its folder "prompts" can be named without its ending, and files are also
            looked for from here, so that a file in negwb.toml is found wherever the command runs.

    Raises:
        UsageError: neither exists, or the file is invalid.
    """
    if name in prompt_set_names():
        return load_prompts(FOLDER / f"{name}.toml")
    own = () if folder is None else (folder / name, folder / WORKSPACE_FOLDER / f"{name}.toml")
    path = next((each for each in (Path(name), *own) if each.is_file()), None)
    if path is None:
        names = ", ".join((*prompt_set_names(), *(workspace_sets(folder) if folder else ())))
        raise UsageError(
            f"unknown prompt set {display_text(name)!r}",
            hint=f"use a file, or one of: {display_text(names, limit=400)}",
        )
    return load_prompts(path)


def load_prompts(path: Path) -> PromptSet:
    """Load a prompt set from a file.

    Raises:
        UsageError: the file cannot be read or is invalid.
    """
    return parse_prompts(read_toml_text(path), str(path))


def parse_prompts(text: str, where: str) -> PromptSet:
    """Parse the text of a prompt file; `where` names the file in errors.

    Raises:
        UsageError: invalid; the message names file, stage and problem.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    content = parse_toml(text, where, hint=_HINT)
    file = _PromptFile(where, text)
    known = (*_Head.__slots__, *_FIELDS)
    for key in content:
        if key not in known:
            near = closest(key, known)
            names = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
            raise file.error(f"unknown key {key_text((key,))}; {names}", key)
    head = file.validated({key: value for key, value in content.items() if key not in _FIELDS}, _Head)
    stages = {name: _Stage(file, name, content[name]).prompt() for name in _FIELDS if name in content}
    for name in _REQUIRED_STAGES[head.pipeline]:
        if name not in stages:
            raise file.error(f"{head.pipeline} needs a stage [{name}]")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return PromptSet(
        name=head.name,
        version=f"{head.name}@{digest}",
        content=text,
        about=" ".join(head.about.split()),
        source=head.source,
        pipeline=head.pipeline,
        stages=MappingProxyType(stages),
        tuned=head.tuned,
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
    tuned: TunedFrom | None = None


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


@dataclass(frozen=True, slots=True)
class _PromptFile:
    """Reports the problems of a prompt file, with the lines."""

    where: str
    text: str

    def error(self, problem: str, *path: str | int, stage: str = "") -> UsageError:
        """Return the error for a problem at a key; the line is that of the key, or of the table around it."""
        line = line_of_key_or_header(self.text, path)
        table = f"[{stage}] " if stage else ""
        message = f"{self.where}: {table}{display_text(problem)}"
        return UsageError(message + (f" (line {line})" if line else ""), hint=_HINT)

    def validated(self, content: object, kind: type[_Table], stage: str = "") -> _Table:
        """Convert a table.

        Raises:
            UsageError: it does not fit.
        """
        try:
            return validate(content, kind)
        except ValidationError as error:
            problem = error.problems[0]
            path = (stage, *problem.path) if stage else problem.path
            raise self.error(str(problem), *path, stage=stage) from error


@dataclass(frozen=True, slots=True)
class _Stage:
    """The table of one stage."""

    file: _PromptFile
    name: str
    content: object

    def prompt(self) -> StagePrompt:
        """Return the prompt.

        Raises:
            UsageError: the table is invalid.
        """
        table = self.file.validated(self.content, _StageTable, self.name)
        self._check_phrases(table.phrases)
        known = _FIELDS[self.name] - {f"{each}_phrase" for each in _PHRASES if each not in table.phrases}
        for index, message in enumerate(table.messages):
            self._check_placeholders(message.text, known, "messages", index, "text")
        self._check_placeholders(table.raw or "", known, "raw")
        self._check_messages(table)
        return StagePrompt(
            messages=tuple(Message(message.role, message.text) for message in table.messages),
            sampling=Sampling(temperature=table.temperature, top_p=table.top_p, max_tokens=table.max_tokens),
            picture=table.messages[-1].picture,
            raw=table.raw,
            phrases=table.phrases,
        )

    def _error(self, problem: str, *path: str | int) -> UsageError:
        return self.file.error(problem, self.name, *path, stage=self.name)

    def _check_messages(self, table: _StageTable) -> None:
        last, final = table.messages[-1], ("messages", len(table.messages) - 1)
        for index, message in enumerate(table.messages[:-1]):
            if message.picture:
                raise self._error("picture = true: only the last message can have the image", "messages", index)
        if last.role != "user":
            raise self._error(f"the last message has the role {last.role}: it must be user", *final)
        if table.raw is not None and table.raw.count(_IMAGE) != int(last.picture):
            raise self._error(f"raw: {'one' if last.picture else 'no'} {_IMAGE} is expected", "raw")
        if (self.name in _IMAGE_STAGES) != last.picture:
            needed = self.name in _IMAGE_STAGES
            problem = "needs picture = true in its last message" if needed else "has no image"
            raise self._error(f"this stage {problem}", *final)

    def _check_placeholders(self, text: str, known: set[str], *path: str | int) -> None:
        for name in _PLACEHOLDER.findall(text):
            if name in {"cue_phrase", "position_phrase"} & _FIELDS[self.name] - known:
                table = f"[{self.name}.phrases.{name.removesuffix('_phrase')}]"
                raise self._error(f"{{{name}}} needs a table {table}", *path)
            if name not in known:
                raise self._error(f"unknown placeholder {{{name}}}; known: {', '.join(sorted(known))}", *path)

    def _check_phrases(self, phrases: Mapping[str, Mapping[str, str]]) -> None:
        """Check that each table has a text for every cue or position, and no other keys."""
        for name, table in phrases.items():
            if name not in _PHRASES or f"{name}_phrase" not in _FIELDS[self.name]:
                raise self._error(f"unknown key {key_text(('phrases', name))}", "phrases", name)
            for key in (*_PHRASES[name], *table):
                path = ("phrases", name, key)
                if key not in table:
                    raise self._error(f"{key_text(path)} is missing: a text is expected", *path)
                if key not in _PHRASES[name]:
                    raise self._error(f"unknown key {key_text(path)}", *path)
                if not table[key].strip():
                    raise self._error(f"{key_text(path)}: a text is expected", *path)
