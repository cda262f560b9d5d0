"""Our own sets again: items.jsonl and pairs.jsonl of an export, as the rows that they were frozen from.

Keys, concepts, types, generators and prompts come back as they were, each row into the source that it names.
What people decided does not: these candidates are open. items.jsonl holds more than pairs.jsonl; of the latter the
generator is what stands first in the candidate's key. Fields that an export does not have are kept with the candidate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from curation_db.enums import NegationType
from curation_db.exporting.manifest import ExportItem
from curation_db.importing.image_names import Naming
from curation_db.importing.rows import (
    KEY_LIMIT,
    CandidateRow,
    CaptionRow,
    ImageRow,
    InputError,
    RefusedRow,
    Reject,
    RejectReason,
    RowBatch,
    RowGenerator,
    excerpt,
    extra_of,
    key_of,
    reject,
)
from curation_db.importing.tables.reader import TableRow, read_jsonl
from curation_db.language.sanitize import clean

# fmt: off
PAIR_FIELDS: Final = (
    "source", "image", "file_name", "caption", "text", "concept", "negation_type", "cue", "key", "url",
)
# fmt: on
"""Of a line of pairs.jsonl."""
_ITEM_FIELDS: Final = frozenset(each.name for each in fields(ExportItem))
_KNOWN: Final = _ITEM_FIELDS | {"image"}
_NEEDED: Final = frozenset({"source", "text", "key", "file_name", "caption", "concept", "negation_type", "cue"})
_PIPELINE: Final = "import"
_NAME_LIMIT: Final = 100
_BATCH: Final = 5_000


def is_exported(names: Iterable[str]) -> bool:
    """Whether an object with these members is a line of items.jsonl or pairs.jsonl."""
    told = set(names)
    return told >= _NEEDED and ("image_key" in told or "image" in told)


def sources_in(path: Path) -> tuple[str, ...]:
    """The names of the sources in a file, in its order.

    Raises:
        InputError: no row names one.
    """
    rows = (row for row in read_jsonl(path) if isinstance(row, TableRow))
    found = tuple(dict.fromkeys(name for row in rows if (name := _source(row.cells)) is not None))
    if not found:
        raise InputError("no row names its source", hint="say whose pictures these are: --source NAME")
    return found


def read_exported(path: Path, naming: Naming, sources: Iterable[str], *, generator: str = "") -> Iterator[RowBatch]:
    """The rows of a file of ours, each batch with those of one source.

    Args:
        path: the file.
        naming: what pictures' names become.
        sources: the sources that the rows name; none: all rows go to the source of `naming`.
        generator: who proposed the candidates, if a person says so; they are then other candidates.
    """
    named = tuple(sources)
    known = named or (naming.source,)
    batches = {name: RowBatch(source=name) for name in known}
    done = 0
    for row in read_jsonl(path):
        if isinstance(row, Reject):
            batches[known[0]].rejects.append(row)
            continue
        done = row.done
        source = (_source(row.cells) or "") if named else naming.source
        if (batch := batches.get(source)) is None:
            why = RefusedRow(RejectReason.BAD_VALUE, f"no usable source: {excerpt(row.cells.get('source'))[:60]}")
            batches[known[0]].rejects.append(reject(row.at, why))
            continue
        _add(row, Naming(source, naming.prefixes), batch, as_stated=not generator)
        if len(batch.images) + len(batch.rejects) >= _BATCH:
            batch.done = done
            yield batch
            batches[source] = RowBatch(source=source)
    for batch in batches.values():
        batch.done = done
        yield batch


def _source(cells: Mapping[str, Any]) -> str | None:
    """The source that a row names; None: it names none that can be used."""
    told = cells.get("source")
    usable = isinstance(told, str) and told == clean(told).strip() and 0 < len(told) <= _NAME_LIMIT
    return told if usable else None


def _add(row: TableRow, naming: Naming, batch: RowBatch, *, as_stated: bool) -> None:
    cells = row.cells
    key = None
    try:
        key = key_of(cells.get("image_key", cells.get("image")))
        stated = next((cells[name] for name in ("file_name", "url") if cells.get(name) is not None), None)
        name = None if stated is None else naming.name(stated)
        made = _making(cells)
        kind = _type(cells.get("negation_type"))
        stated_key = _text_or_none(cells, "caption_key")
        caption_key = None if stated_key is None else key_of(stated_key)
        concept = _text_or_none(cells, "concept")
        extra = extra_of(cells, _KNOWN, ())
    except RefusedRow as why:
        batch.rejects.append(reject(row.at, why))
        if key is not None:
            batch.refused.add(key)
        return
    places = (None, None, None) if name is None else (name.file_name, name.url, name.unstripped)
    batch.images.append(ImageRow(key, places[0], None, None, None, row.at, None, *places[1:]))
    original = None
    if cells.get("caption") is not None:
        original = len(batch.captions)
        batch.captions.append(CaptionRow(caption_key, key, cells["caption"], row.at))
    told = made if as_stated else None
    batch.candidates.append(
        CandidateRow(made.key, key, original, cells.get("text"), concept, extra, row.at, None, kind, told)
    )


def _making(cells: Mapping[str, Any]) -> RowGenerator:
    key = key_of(cells.get("key"))
    generator = _text_or_none(cells, "generator") or key.partition("/")[0] or _PIPELINE
    pipeline = _text_or_none(cells, "pipeline") or _PIPELINE
    return RowGenerator(key, generator, pipeline, _text_or_none(cells, "prompt_version"))


def _type(told: object) -> NegationType | None:
    """The type of negation; None: the row has none."""
    if told is None:
        return None
    try:
        return NegationType(str(told))
    except ValueError:
        raise RefusedRow(RejectReason.BAD_VALUE, f"negation_type: {excerpt(told)[:60]} is none") from None


def _text_or_none(cells: Mapping[str, Any], name: str) -> str | None:
    told = cells.get(name)
    if told is None:
        return None
    if not isinstance(told, str) or clean(told) != told or len(told) > KEY_LIMIT:
        raise RefusedRow(RejectReason.BAD_VALUE, f"{name}: no usable text: {json.dumps(excerpt(told)[:60])}")
    return told
