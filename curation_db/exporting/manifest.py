"""The shape of a frozen set: a folder with `manifest.json`, `items.jsonl` and the data files it lists.

Pure (standard library only), so that trainers and benchmarks read sets without the record. Nothing in a set depends
on the clock, on where the workspace lies or on the folder's name; `verify` tells whether it is still what was frozen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from curation_db.foreign_json import parse_json

FORMAT = 1
"""Of the folder; raised when an older reader would misread it."""
MANIFEST_FILE = "manifest.json"
ITEMS_FILE = "items.jsonl"

_CHUNK = 1 << 20
_TOO_LARGE = 2**63
_NOT_COUNTED = frozenset({"without_cue", "without_prompt", "without_mix"})
"""Counts that an older negwb did not make: null in a manifest that a newer one writes again."""

_encode = json.JSONEncoder(allow_nan=False).encode


class ManifestError(ValueError):
    """The folder is no frozen set that can be read; one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """One line of items.jsonl: a pair with where it came from and who decided, named by keys that stay."""

    key: str
    """The candidate's, unique in its source."""
    source: str
    image_key: str
    file_name: str | None = None
    """Below one of the source's picture folders."""
    image_sha256: str | None = None
    """Of the picture's bytes, where they had been seen when the set was frozen."""
    caption_key: str | None = None
    caption: str | None = None
    """The human's caption, where it is known."""
    text: str
    """The negated caption."""
    concept: str | None = None
    """What it denies."""
    negation_type: str = "other"
    cue: str | None = None
    cue_position: str | None = None
    pipeline: str = ""
    generator: str = ""
    prompt_version: str | None = None
    tokens: int = 0
    """CLIP tokens with both ends."""
    edited: str | None = None
    """Key of the candidate that a person's edit replaced by this one."""
    state: str = "accepted"
    """At the manifest's event, as all that follows."""
    accepts: int = 0
    rejects: int = 0
    deciders: tuple[str, ...] = ()
    """Whose word the state rests on."""
    reasons: tuple[str, ...] = ()
    """Why it was rejected, by those who did."""
    stream: str | None = None
    """audit where anybody decided about it in the audit, else review; none where nobody decided."""
    url: str | None = None
    """Where the picture is on the network, if it is known by a URL; its file name is then none."""

    def to_line(self) -> str:
        """The item as its line (ASCII, so that no reader can take a part of it for a line's end)."""
        told = {name: getattr(self, name) for name in _ITEM_FIELDS}
        if self.url is None:  # sets without URLs are, byte for byte, what they were before
            del told["url"]
        return _encode(told) + "\n"

    @classmethod
    def from_line(cls, line: str) -> ExportItem:
        """The item on `line`; keys of a later version are passed over.

        Raises:
            ValueError: it is none.
        """
        told = parse_json(line)
        if not isinstance(told, dict) or not all(isinstance(told.get(name), str) for name in _ITEM_NEEDS):
            raise ValueError(f"an object with {', '.join(_ITEM_NEEDS)} is expected")
        known: dict[str, Any] = {name: told[name] for name in _ITEM_FIELDS if name in told}
        for name in _ITEM_LISTS & known.keys():
            known[name] = tuple(known[name])
        return cls(**known)


_ITEM_FIELDS = tuple(item.name for item in fields(ExportItem))
_ITEM_NEEDS = ("key", "source", "image_key", "text")
_ITEM_LISTS = frozenset({"deciders", "reasons"})


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file of a set must be."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ManifestCounts:
    """How much of what is in a set."""

    pairs: int = 0
    images: int = 0
    edited: int = 0
    without_caption: int = 0
    """Pairs of which no human's caption is known: null in JSONL, "" in COCO."""
    without_file_name: int = 0
    without_cue: int | None = None
    """Pairs in which no cue was found, so that `by_cue` and `by_cue_position` leave them out. None, here and in the two
    counts below: an older negwb froze the set and counted them under the key "none", together with a cue "none"."""
    without_prompt: int | None = None
    """Pairs whose prompt is not known, which `by_prompt` leaves out."""
    without_mix: int | None = None
    """Pairs that were asked for without a mix, which `by_mix` leaves out."""
    by_source: Mapping[str, int] = field(default_factory=dict)
    by_negation_type: Mapping[str, int] = field(default_factory=dict)
    by_cue: Mapping[str, int] = field(default_factory=dict)
    by_cue_position: Mapping[str, int] = field(default_factory=dict)
    by_generator: Mapping[str, int] = field(default_factory=dict)
    by_prompt: Mapping[str, int] = field(default_factory=dict)
    """By the version of the prompt; of a set that an older negwb froze, this and what follows is empty."""
    by_mix: Mapping[str, int] = field(default_factory=dict)
    """By which spread of cues and positions the texts were asked for; a text that a person edited counts with it."""
    made_with: tuple[Mapping[str, Any], ...] = ()
    """The three together: {generator, prompt_version, mix, pairs}, the frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What manifest.json says; `name` is the folder's and stands in no file."""

    name: str
    tool_version: str
    event_seq: int
    """The record was frozen as this event left it, or as it was under this number, which then no event has: an export
    takes one where something was imported since the newest event. The number alone says what is in a set."""
    event_uid: str | None = None
    """The uid of the newest event up to `event_seq`: of that event, or where an export took the number, of the last
    one before it. None: there is no event up to it, or an older negwb froze the set (then `lineage` is None too)."""
    lineage: str | None = None
    """The uid of the record's lineage that `event_seq` belongs to. Each restore of a backup starts another one."""
    selection: Mapping[str, Any]
    """What was asked for: {"states": [...]} and, later, further filters."""
    counts: ManifestCounts
    files: Mapping[str, FileFacts]
    export_sha256: str
    """One hash for all of it; see `hash_of`."""
    format: int = FORMAT

    def to_text(self) -> str:
        """The file's content."""
        told = {
            "format": self.format,
            "tool_version": self.tool_version,
            "event_seq": self.event_seq,
            "event_uid": self.event_uid,
            "lineage": self.lineage,
            "selection": dict(self.selection),
            "counts": {item.name: getattr(self.counts, item.name) for item in fields(ManifestCounts)},
            "files": {name: {"sha256": f.sha256, "bytes": f.bytes} for name, f in sorted(self.files.items())},
            "export_sha256": self.export_sha256,
        }
        return json.dumps(told, indent=2) + "\n"


def hash_of(files: Mapping[str, FileFacts]) -> str:
    """The hash over the files' hashes: what `sha256sum FILES | sha256sum` prints, the names in byte order."""
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def file_facts(path: Path) -> FileFacts:
    """The hash and size of the file as it lies on the disk."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileFacts(digest.hexdigest(), size)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the set in `folder`.

    Raises:
        ManifestError: there is none, it is damaged, or a newer negwb wrote it.
    """
    path = folder / MANIFEST_FILE
    try:
        told = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ManifestError(f"{folder} is no export: it has no {MANIFEST_FILE}") from error
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: {error}") from error
    if isinstance(told, dict) and isinstance(told.get("format"), int) and told["format"] > FORMAT:
        raise ManifestError(f"{path} was written by a newer negwb (format {told['format']}; known: {FORMAT})")
    try:
        return _parse(folder.name, told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestError(f"{path} is damaged: {error!r}") from error


def _parse(name: str, told: Mapping[str, Any]) -> Manifest:
    known = {item.name for item in fields(ManifestCounts)}
    return Manifest(
        name=name,
        tool_version=str(told["tool_version"]),
        event_seq=_whole(told["event_seq"], "event_seq"),
        event_uid=_uid(told.get("event_uid")),
        lineage=_uid(told.get("lineage")),
        selection=dict(told["selection"]),
        counts=_counts({key: value for key, value in told["counts"].items() if key in known}),
        files={key: FileFacts(str(f["sha256"]), _whole(f["bytes"], key)) for key, f in told["files"].items()},
        export_sha256=str(told["export_sha256"]),
        format=_whole(told["format"], "format"),
    )


def _whole(value: object, name: str) -> int:
    """A number as the record can hold it.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _TOO_LARGE:
        raise ValueError(f"{name} is no whole number from 0 on")
    return value


def _uid(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _counts(told: dict[str, Any]) -> ManifestCounts:
    made_with = tuple(dict(each) for each in told.pop("made_with", ()))
    for name, value in told.items():
        if not name.startswith("by_"):
            if value is not None or name not in _NOT_COUNTED:
                _whole(value, name)
        elif not isinstance(value, dict):
            raise ValueError(f"{name} is no table of counts")
    return ManifestCounts(**told, made_with=made_with)


def read_items(folder: Path) -> Iterator[ExportItem]:
    """The items of the set in `folder`, in their order, one at a time.

    Raises:
        ManifestError: there is no such file, or a line of it is no item.
    """
    path = folder / ITEMS_FILE
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from _parsed(path, file)
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error


def _parsed(path: Path, lines: Iterable[str]) -> Iterator[ExportItem]:
    for number, line in enumerate(lines, 1):
        try:
            item = ExportItem.from_line(line)
        except (ValueError, TypeError) as error:
            raise ManifestError(f"{path}, line {number}: {error}") from error
        yield item


def verify(folder: Path) -> list[str]:
    """What is wrong with the set in `folder`, a line each; nothing: it is byte for byte what was frozen."""
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        return [str(error)]
    problems = [problem for name, facts in sorted(manifest.files.items()) for problem in _check(folder, name, facts)]
    if hash_of(manifest.files) != manifest.export_sha256:
        problems.append(f"{MANIFEST_FILE}: export_sha256 is not that of the files it lists")
    if ITEMS_FILE not in manifest.files:
        problems.append(f"{MANIFEST_FILE} does not list {ITEMS_FILE}")
    known = {MANIFEST_FILE, *manifest.files}
    problems += [f"{path.name}: not in the manifest" for path in sorted(folder.iterdir()) if path.name not in known]
    return problems


def _check(folder: Path, name: str, facts: FileFacts) -> list[str]:
    if Path(name).name != name:
        return [f"{name!r}: a file outside the folder"]  # a hostile manifest must not make us read elsewhere
    try:
        found = file_facts(folder / name)
    except OSError as error:
        return [f"{name}: {error.strerror or error}"]
    if found.bytes != facts.bytes:
        return [f"{name}: {found.bytes} bytes instead of {facts.bytes}"]
    return [f"{name}: its content was changed"] if found.sha256 != facts.sha256 else []


def list_exports(exports: Path) -> list[str]:
    """The names of the sets in the folder `exports`; half-written ones have a dot in front and do not count."""
    if not exports.is_dir():
        return []
    return sorted(path.name for path in exports.iterdir() if path.is_dir() and not path.name.startswith("."))


def event_numbers(exports: Path) -> Iterator[int]:
    """The event number of every set in the folder `exports` whose manifest can be read; reads one set at a time."""
    for name in list_exports(exports):
        with contextlib.suppress(ManifestError):
            yield read_manifest(exports / name).event_seq
