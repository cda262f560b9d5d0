"""Format of a frozen export: a folder with `manifest.json`, `items.jsonl` and the data files that the manifest lists.

No database, so that trainers and benchmarks read exports without the record. The content does not depend on
the clock, the path of the workspace or the folder's name. `verify` checks whether the files are still what was frozen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, TypedDict

from curation_db.exporting.json_objects import encode_fields, encode_flat
from curation_db.foreign_json import parse_json

FORMAT = 2
"""Format version of the folder. 2: `votes` in items.jsonl, pseudonyms. Older formats are read."""
MANIFEST_FILE = "manifest.json"
ITEMS_FILE = "items.jsonl"
DESCRIPTIONS = frozenset({"README.md", "croissant.json"})
"""Files that describe an export and may be put beside its files; they are not part of it."""

_CHUNK = 1 << 20
_TOO_LARGE = 2**63
_NOT_COUNTED = frozenset({"without_cue", "without_prompt", "without_mix", "too_long"})
"""Counts that an older negwb did not write; null when a newer one writes such a manifest again."""


class ManifestError(ValueError):
    """The folder is not a readable export; the message is one line."""


class ItemVote(TypedDict):
    """Decision in force of an annotator or a policy on a pair."""

    event: int
    """Sequence number of the event in the record; unique in the manifest's `lineage`."""
    by: str
    """As in `ExportItem.deciders`."""
    kind: str
    """accept, reject, unsure, adjudicate, or flip: a change of mind after the reveal of an audit card."""
    verdict: str
    """What it says about the pair: accept, reject or unsure."""
    reason: str | None
    stream: str | None
    blind: bool
    """Whether it was made without sight of the judges."""
    day: str
    """UTC date, as in 2026-05-31. The time of day would say when a person works."""


@dataclass(slots=True, kw_only=True)
class ExportItem:
    """One line of items.jsonl: a pair with its origin and decisions, named by stable keys.

    Items are never changed. The class is not frozen because a frozen one takes five times as long to create, an eighth
    of the time of an export.
    """

    key: str
    """The candidate's key, unique in its source."""
    source: str
    image_key: str
    file_name: str | None = None
    """Path below one of the source's image folders."""
    image_sha256: str | None = None
    """SHA-256 of the image file, where negwb had read it before the export."""
    caption_key: str | None = None
    caption: str | None = None
    """The original caption, where it is known."""
    text: str
    """The negated caption."""
    concept: str | None = None
    negation_type: str = "other"
    cue: str | None = None
    cue_position: str | None = None
    pipeline: str = ""
    generator: str = ""
    prompt_version: str | None = None
    tokens: int = 0
    """Tokens by the tokenizer of the manifest's `text_limit`, with those that it adds."""
    edited: str | None = None
    """Key of the candidate that this one replaced by an edit."""
    state: str = "accepted"
    """State at the manifest's event, as are all fields below."""
    accepts: int = 0
    rejects: int = 0
    deciders: tuple[str, ...] = ()
    """Annotators, by their pseudonyms unless the manifest's `named` is true, or policies whose decisions determine the
    state."""
    reasons: tuple[str, ...] = ()
    """Reject reasons of the deciders."""
    stream: str | None = None
    """"audit" where any decider decided it in the audit, else "review"; None without a decision."""
    url: str | None = None
    """URL of an image that is known by URL; `file_name` is None then."""
    triplet: Mapping[str, str] | None = None
    """Answers to a probe verified these sentences: `paraphrase` is true of the image, and `twin`, which affirms the
    concept, is false. None: no probe, or its answers contradict the caption."""
    votes: tuple[ItemVote, ...] | None = None
    """All votes in force, in the order of their events; None: an older negwb wrote the export."""

    def to_line(self) -> str:
        """Return the item as its line: ASCII, so that no character in it is a line separator to any reader."""
        # a line has the last fields only where they are not None: older exports stay identical, byte for byte
        line = None
        if self.url is None and self.triplet is None and self.votes is not None:
            line = encode_fields(self, b',"url":null,"triplet":null')
        if line is None:
            values = zip(_ITEM_FIELDS, _item_values(self), strict=True)
            line = encode_flat({name: each for name, each in values if each is not None or name not in _OPTIONAL})
        return line + "\n"

    @classmethod
    def from_line(cls, line: str) -> ExportItem:
        """Parse `line`; ignore keys of a later version.

        Raises:
            ValueError: it is not an item.
        """
        parsed = parse_json(line)
        if not isinstance(parsed, dict) or not all(isinstance(parsed.get(name), str) for name in _ITEM_NEEDS):
            raise ValueError(f"an object with {', '.join(_ITEM_NEEDS)} is expected")
        known: dict[str, Any] = {name: parsed[name] for name in _ITEM_FIELDS if name in parsed}
        for name in _ITEM_LISTS & known.keys():
            known[name] = tuple(known[name])
        if not all(isinstance(vote, dict) for vote in known.get("votes", ())):
            raise ValueError("votes is not a list of objects")
        return cls(**known)


_ITEM_FIELDS = tuple(item.name for item in fields(ExportItem))
_item_values = attrgetter(*_ITEM_FIELDS)
_OPTIONAL = frozenset({"url", "triplet", "votes"})
_ITEM_NEEDS = ("key", "source", "image_key", "text")
_ITEM_LISTS = frozenset({"deciders", "reasons", "votes"})


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Expected hash and size of a file of an export."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ManifestCounts:
    """Counts of an export's pairs and images."""

    pairs: int = 0
    images: int = 0
    edited: int = 0
    without_caption: int = 0
    """Pairs without a known original caption: null in JSONL, "" in COCO."""
    without_file_name: int = 0
    without_cue: int | None = None
    """Pairs without a recognised cue; `by_cue` and `by_cue_position` leave them out. None, here and in the two counts
    below: an older negwb wrote the export and counted such pairs under the key "none", together with a cue "none"."""
    without_prompt: int | None = None
    """Pairs without a known prompt version; `by_prompt` leaves them out."""
    without_mix: int | None = None
    """Pairs that were generated without a cue mix; `by_mix` leaves them out."""
    too_long: int | None = None
    """Pairs whose text has more tokens than the manifest's `text_limit`; None: an older negwb wrote the export."""
    by_source: Mapping[str, int] = field(default_factory=dict)
    by_negation_type: Mapping[str, int] = field(default_factory=dict)
    by_cue: Mapping[str, int] = field(default_factory=dict)
    by_cue_position: Mapping[str, int] = field(default_factory=dict)
    by_asked_position: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By the position that the generation asked for, then by the position that the cue has, as in `by_cue_position`.
    Models often put it elsewhere."""
    by_generator: Mapping[str, int] = field(default_factory=dict)
    by_prompt: Mapping[str, int] = field(default_factory=dict)
    """By prompt version; empty, like the fields below, in an export of an older negwb."""
    by_mix: Mapping[str, int] = field(default_factory=dict)
    """By cue mix of the generation; an edited text counts with its parent's mix."""
    made_with: tuple[Mapping[str, Any], ...] = ()
    """Counts of the combinations, as {generator, prompt_version, mix, pairs}, the most frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Content of manifest.json; `name` is the folder's name and is not in the file."""

    name: str
    tool_version: str
    event_seq: int
    """The export holds the record as of this sequence number. Usually it is an event's number. Where something was
    imported since the newest event, the export reserves a number of its own, which no event has."""
    event_uid: str | None = None
    """UID of the newest event up to `event_seq`. None: there is no such event, or an older negwb wrote the export (then
    `lineage` is None, too)."""
    lineage: str | None = None
    """UID of the record's lineage that `event_seq` belongs to. Each restore of a backup starts a new lineage."""
    selection: Mapping[str, Any]
    """The filter: {"states": [...]}, as `selection.ExportFilter.to_dict` writes it."""
    counts: ManifestCounts
    files: Mapping[str, FileFacts]
    export_sha256: str
    """One hash over all files; see `hash_of`."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Candidates of the record as of the event that are not in the export, by `selection.Omission`; empty in format 1.
    """
    benchmarks: Mapping[str, int | None] = field(default_factory=dict)
    """Tasks whose images were left out or could not be: their images in the record; None: the files of the task are
    missing, so they are not known. Empty in format 1, and where images of benchmarks were kept."""
    named: bool = False
    """Whether the files have the names of annotators; False: their pseudonyms. Exports of format 1 have names."""
    text_limit: Mapping[str, Any] = field(default_factory=lambda: {"most_tokens": 77, "tokenizer": "clip"})
    """The longest text that the model to be trained reads: {"most_tokens", "tokenizer"}; older exports are CLIP's."""
    format: int = FORMAT

    def to_text(self) -> str:
        """Return the content of manifest.json."""
        values = {
            "format": self.format,
            "tool_version": self.tool_version,
            "event_seq": self.event_seq,
            "event_uid": self.event_uid,
            "lineage": self.lineage,
            "selection": dict(self.selection),
            "left_out": dict(self.left_out),
            "benchmarks": dict(self.benchmarks),
            "named": self.named,
            "text_limit": dict(self.text_limit),
            "counts": {item.name: getattr(self.counts, item.name) for item in fields(ManifestCounts)},
            "files": {name: {"sha256": f.sha256, "bytes": f.bytes} for name, f in sorted(self.files.items())},
            "export_sha256": self.export_sha256,
        }
        return json.dumps(values, indent=2) + "\n"


def hash_of(files: Mapping[str, FileFacts]) -> str:
    """Return the hash over the files' hashes, as `sha256sum FILES | sha256sum` prints it with names in byte order."""
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def file_facts(path: Path) -> FileFacts:
    """Return the hash and size of the file on disk."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileFacts(digest.hexdigest(), size)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the export in `folder`.

    Raises:
        ManifestError: the manifest is missing or damaged, or a newer negwb wrote it.
    """
    path = folder / MANIFEST_FILE
    try:
        parsed = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ManifestError(f"{folder} is not an export: it has no {MANIFEST_FILE}") from error
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: {error}") from error
    if isinstance(parsed, dict) and isinstance(parsed.get("format"), int) and parsed["format"] > FORMAT:
        raise ManifestError(f"{path} was written by a newer negwb (format {parsed['format']}; known: {FORMAT})")
    try:
        return _parse(folder.name, parsed)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestError(f"{path} is damaged: {error!r}") from error


def _parse(name: str, parsed: Mapping[str, Any]) -> Manifest:
    known = {item.name for item in fields(ManifestCounts)}
    return Manifest(
        name=name,
        tool_version=str(parsed["tool_version"]),
        event_seq=_whole(parsed["event_seq"], "event_seq"),
        event_uid=_uid(parsed.get("event_uid")),
        lineage=_uid(parsed.get("lineage")),
        selection=dict(parsed["selection"]),
        counts=_counts({key: value for key, value in parsed["counts"].items() if key in known}),
        files={key: FileFacts(str(f["sha256"]), _whole(f["bytes"], key)) for key, f in parsed["files"].items()},
        export_sha256=str(parsed["export_sha256"]),
        left_out={key: _whole(value, key) for key, value in parsed.get("left_out", {}).items()},
        benchmarks={
            key: None if value is None else _whole(value, key) for key, value in parsed.get("benchmarks", {}).items()
        },
        named=bool(parsed.get("named", True)),
        **({"text_limit": dict(parsed["text_limit"])} if "text_limit" in parsed else {}),
        format=_whole(parsed["format"], "format"),
    )


def _whole(value: object, name: str) -> int:
    """Return `value` where it is a non-negative integer below 2**63.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _TOO_LARGE:
        raise ValueError(f"{name} is not a whole number from 0")
    return value


def _uid(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _counts(counts: dict[str, Any]) -> ManifestCounts:
    made_with = tuple(dict(each) for each in counts.pop("made_with", ()))
    for name, value in counts.items():
        if not name.startswith("by_"):
            if value is not None or name not in _NOT_COUNTED:
                _whole(value, name)
        elif not isinstance(value, dict):
            raise ValueError(f"{name} is not a table of counts")
    return ManifestCounts(**counts, made_with=made_with)


def read_items(folder: Path) -> Iterator[ExportItem]:
    """Yield the items of the export in `folder`, in file order.

    Raises:
        ManifestError: the file is missing, or a line is not an item.
    """
    path = folder / ITEMS_FILE
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from _parse_items(path, file)
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error


def _parse_items(path: Path, lines: Iterable[str]) -> Iterator[ExportItem]:
    for number, line in enumerate(lines, 1):
        try:
            item = ExportItem.from_line(line)
        except (ValueError, TypeError) as error:
            raise ManifestError(f"{path}, line {number}: {error}") from error
        yield item


def verify(folder: Path) -> list[str]:
    """Return the problems of the export in `folder`, one line each; empty: it is byte for byte what was frozen."""
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        return [str(error)]
    problems = [problem for name, facts in sorted(manifest.files.items()) for problem in _check(folder, name, facts)]
    if hash_of(manifest.files) != manifest.export_sha256:
        problems.append(f"{MANIFEST_FILE}: export_sha256 does not match the listed files")
    if ITEMS_FILE not in manifest.files:
        problems.append(f"{MANIFEST_FILE} does not list {ITEMS_FILE}")
    known = {MANIFEST_FILE, *DESCRIPTIONS, *manifest.files}
    problems += [f"{path.name}: not in the manifest" for path in sorted(folder.iterdir()) if path.name not in known]
    return problems


def _check(folder: Path, name: str, facts: FileFacts) -> list[str]:
    if Path(name).name != name:
        return [f"{name!r}: a file outside the folder"]  # a hostile manifest must not cause reads elsewhere
    try:
        actual = file_facts(folder / name)
    except OSError as error:
        return [f"{name}: {error.strerror or error}"]
    if actual.bytes != facts.bytes:
        return [f"{name}: {actual.bytes} bytes instead of {facts.bytes}"]
    return [f"{name}: its content was changed"] if actual.sha256 != facts.sha256 else []


def list_exports(exports: Path) -> list[str]:
    """Return the names of the exports in the folder `exports`, without partial ones, whose names start with a dot."""
    if not exports.is_dir():
        return []
    return sorted(path.name for path in exports.iterdir() if path.is_dir() and not path.name.startswith("."))


def event_numbers(exports: Path) -> Iterator[int]:
    """Yield the `event_seq` of every export in the folder `exports` with a readable manifest."""
    for name in list_exports(exports):
        with contextlib.suppress(ManifestError):
            yield read_manifest(exports / name).event_seq
