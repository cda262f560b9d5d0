"""The pairs of an export, read from the record in order, a batch at a time; and what a format's writer must do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, bindparam, text

from curation_db.errors import RecordError
from curation_db.events import event_clock
from curation_db.exporting.manifest import ExportItem
from curation_db.exporting.selection import BATCH, Chosen, DecidedCandidate, ExportFilter
from curation_db.foreign_json import parse_json
from curation_db.storage.sqlite import batches

# fmt: off
_COLUMNS = {
    "key": "c.key", "source": "s.name", "image_key": "i.key", "caption_key": "t.key", "caption": "t.text",
    "text": "c.text", "concept": "c.concept", "negation_type": "c.negation_type", "cue": "c.cue",
    "cue_position": "c.cue_position", "pipeline": "c.pipeline", "generator": "c.generator",
    "prompt_version": "c.prompt_version", "tokens": "c.tokens", "edited": "p.key",
}
# fmt: on
"""Where the record holds an item's fields that are written once; the others are the picture's and the outcome's."""
_FILLED_IN = ("file_name", "width", "height", "content_sha256", "extra", "url")
"""Columns of a picture that a later import may complete."""
_ROWS = text(f"""
    SELECT c.id, c.extra, i.completed, {", ".join(f"i.{name}" for name in _FILLED_IN)}, {", ".join(_COLUMNS.values())}
    FROM candidate c
    JOIN image i ON i.id = c.image_id
    JOIN source s ON s.id = i.source_id
    LEFT JOIN caption t ON t.id = c.caption_id
    LEFT JOIN candidate p ON p.id = c.parent_id
    WHERE c.id IN :ids
""").bindparams(bindparam("ids", expanding=True))
_LICENSES = text("""
    SELECT name, licenses FROM source WHERE licenses IS NOT NULL AND licenses_since <= :at ORDER BY name
""")


_MIX = re.compile(r"[a-z][a-z0-9_-]{0,39}")
"""A name; what else a file may have under this word is no mix."""


@dataclass(frozen=True, slots=True)
class ExportPair:
    """One pair with what its files said beside it."""

    item: ExportItem
    width: int | None
    height: int | None
    extra: str | None
    """JSON object: the annotation's other fields."""
    image_extra: str | None
    """JSON object: the image entry's other fields."""

    @property
    def mix(self) -> str | None:
        """Which cues and positions its text was asked for; None: nobody said.

        Raises:
            RecordError: `extra` is no JSON object.
        """
        if self.extra is None or '"mix"' not in self.extra:
            return None
        told = fields_of(self.extra, f"candidate {self.item.key}").get("mix")
        return told if isinstance(told, str) and _MIX.fullmatch(told) else None


@dataclass(frozen=True, slots=True)
class Frame:
    """What a writer knows before the first pair."""

    selection: ExportFilter
    chosen: Chosen
    tool_version: str
    licenses: tuple[Any, ...]
    """The `licenses` entries of all sources in the export, as of its event, by source name, equal ones once."""


class PairWriter(Protocol):
    """Writes one data file; `add` for every pair, in order, then `finish`."""

    def add(self, pair: ExportPair) -> None:
        """Take the next pair."""

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Let go of all files, whether the data are complete or not; may be called twice."""


Format = Callable[[Path, Frame], PairWriter]
"""Makes the writer of a format: it starts its data file in the folder."""


def frame_of(connection: Connection, selection: ExportFilter, chosen: Chosen, tool_version: str) -> Frame:
    """What the writers are told first."""
    kept: list[Any] = []
    for row in connection.execute(_LICENSES, {"at": chosen.event_seq}):
        listed = _loads(row.licenses, f"source {row.name}", list) if row.name in chosen.sources else []
        kept += [entry for entry in listed if entry not in kept]
    return Frame(selection, chosen, tool_version, tuple(kept))


def read_pairs(connection: Connection, chosen: Chosen) -> Iterator[ExportPair]:
    """The chosen pairs, in order, with what was known of them at the event."""
    for ids in batches(chosen.ids, BATCH):
        rows = {row[0]: row for row in connection.execute(_ROWS, {"ids": ids}).all()}
        yield from (_pair(rows[number], chosen.outcomes[number], chosen.event_seq) for number in ids)


def _pair(row: Any, outcome: DecidedCandidate, at: int) -> ExportPair:
    number, extra, completed, *told = row
    picture: dict[str, Any] = dict(zip(_FILLED_IN, told, strict=False))
    if completed is not None:
        marks = _loads(completed, f"the picture of candidate {number}", dict)
        picture |= {name: event_clock.value_at(mark, picture.get(name), at) for name, mark in marks.items()}
    digest = picture["content_sha256"]
    item = ExportItem(
        **dict(zip(_COLUMNS, told[len(_FILLED_IN) :], strict=True)),
        file_name=picture["file_name"],
        url=picture["url"],
        image_sha256=None if digest is None else digest.hex(),
        state=str(outcome.state),
        accepts=outcome.accepts,
        rejects=outcome.rejects,
        deciders=outcome.deciders,
        reasons=outcome.reasons,
        stream=outcome.stream,
    )
    return ExportPair(item, picture["width"], picture["height"], extra, picture["extra"])


def fields_of(extra: str | None, owner: str) -> Mapping[str, Any]:
    """The fields that an import kept; NaN and infinities, which JSON does not have, become null.

    Raises:
        RecordError: they are no JSON object; `owner` says whose they are.
    """
    return _loads(extra, owner, dict) if extra else {}


_Kept = TypeVar("_Kept", bound=list[Any] | dict[str, Any])


def _loads(written: str, owner: str, wanted: type[_Kept]) -> _Kept:
    try:
        told = parse_json(written, parse_constant=lambda _: None, parse_float=_finite)
    except ValueError as error:
        raise RecordError(f"{owner}: what was kept from its file is damaged: {error}") from error
    if not isinstance(told, wanted):
        raise RecordError(f"{owner}: what was kept from its file is no JSON {wanted.__name__}")
    return told


def _finite(written: str) -> float | None:
    value = float(written)
    return value if value - value == 0 else None
