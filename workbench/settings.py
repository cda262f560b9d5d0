"""negwb.toml: what can be set, with its defaults; read strictly, so that a typing error is told and not ignored."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from workbench.errors import UsageError

TEMPLATE = """\
# A workspace of negwb. Every setting is optional; what stands here is its default.

[pictures]
# Folders in which a source's pictures are looked for, relative to this file; `negwb import --pictures` adds to them.
# coco = ["../coco/train2014"]

[curate]
order = "conflict"          # conflict: what the judges disagree on first; oldest
overlap = "1"               # people per candidate: "1", "3", or "2+1" (a third only when two differ)
audit_rate = 0.1            # share of new candidates kept for the blind audit
audit_share = 0.1           # share of served cards that come from the audit
blind = false               # never show what the judges say
images = "auto"             # auto, kitty, sixel, halfcell, none
theme = "negwb-dark"        # negwb-dark, negwb-light, or any theme of Textual

[curate.keys]
# Other keys for an action, by its id as the help shows it:
# accept = "a,enter"
"""


@dataclass(frozen=True, slots=True)
class CurateSettings:
    """The table [curate]."""

    order: str = "conflict"
    """The queue's ordering policy."""
    overlap: str = "1"
    """People per candidate, fixed in each candidate when it is created."""
    audit_rate: float = 0.1
    """Share of new candidates kept for the audit."""
    audit_share: float = 0.1
    """Share of served cards that come from the audit."""
    blind: bool = False
    """Never show what the judges say."""
    images: str = "auto"
    """How pictures are drawn: auto, kitty, sixel, halfcell, none."""
    theme: str = "negwb-dark"
    """Name of a Textual theme."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Action id to keys, comma-separated."""


_CHOICES = {"order": ("conflict", "oldest"), "images": ("auto", "kitty", "sixel", "halfcell", "none")}


@dataclass(frozen=True, slots=True)
class Settings:
    """All of negwb.toml."""

    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Source name to folders, relative to the workspace or absolute."""
    curate: CurateSettings = field(default_factory=CurateSettings)


def read_settings(path: Path) -> Settings:
    """The settings in `path`.

    Raises:
        UsageError: not readable as TOML, an unknown name, or a value of the wrong kind.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}", hint="mend the file, or compare it with one from: negwb init") from error
    unknown = sorted(told.keys() - {"pictures", "curate"})
    if unknown:
        raise UsageError(f"{path}: unknown table [{unknown[0]}]", hint="known: pictures, curate")
    return Settings(_pictures(told.get("pictures", {}), path), _curate(told.get("curate", {}), path))


def _pictures(told: Mapping[str, Any], path: Path) -> dict[str, tuple[str, ...]]:
    folders: dict[str, tuple[str, ...]] = {}
    for source, listed in told.items():
        named = [listed] if isinstance(listed, str) else listed
        if not isinstance(named, list) or not all(isinstance(folder, str) for folder in named):
            raise UsageError(f"{path}: [pictures] {source}: a list of folders is expected")
        folders[source] = tuple(named)
    return folders


def _curate(told: Mapping[str, Any], path: Path) -> CurateSettings:
    known = {item.name: item for item in fields(CurateSettings)}
    for name, value in told.items():
        if name not in known:
            raise UsageError(f"{path}: [curate] has no setting {name!r}", hint=f"known: {', '.join(sorted(known))}")
        _check(name, value, path)
    return CurateSettings(**told)


def _check(name: str, value: object, path: Path) -> None:
    default = getattr(CurateSettings(), name)
    wanted: tuple[type, ...] = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise UsageError(f"{path}: [curate] {name} = {value!r}: a {wanted[-1].__name__} is expected")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise UsageError(f"{path}: [curate] {name} = {value!r}", hint=f"one of: {', '.join(_CHOICES[name])}")
    if name in {"audit_rate", "audit_share"} and not 0 <= float(str(value)) <= 1:
        raise UsageError(f"{path}: [curate] {name} = {value!r}: a share from 0 to 1 is expected")


def add_picture_folder(path: Path, source: str, folder: str) -> None:
    """Add a picture folder of `source` to the settings file, leaving the rest of it as the person wrote it."""
    settings = read_settings(path)
    known = settings.pictures.get(source, ())
    if folder in known:
        return
    line = f"{_toml_key(source)} = [{', '.join(_toml_text(each) for each in (*known, folder))}]"
    lines = path.read_text(encoding="utf-8").split("\n")
    start = next((i for i, old in enumerate(lines) if old.strip() == "[pictures]"), None)
    if start is None:
        lines += ["", "[pictures]", line, ""]
    else:
        end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("[")), len(lines))
        old = next((i for i in range(start + 1, end) if _is_entry(lines[i], source)), None)
        lines[start + 1 if old is None else old : start + 1 if old is None else old + 1] = [line]
    replace_file(path, "\n".join(lines))


def _is_entry(line: str, source: str) -> bool:
    name, equals, _ = line.partition("=")
    return bool(equals) and name.strip() in {source, _toml_key(source)}


def _toml_key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else _toml_text(name)


def _toml_text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def replace_file(path: Path, content: str) -> None:
    """Write `content` to `path` so that a crash leaves the old file or the new one, never a half."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
