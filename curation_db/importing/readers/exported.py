"""Reader of negwb exports: items.jsonl and pairs.jsonl.

Keys, concepts, negation types, generators and prompt versions are restored, each row in the source that it names.
Decisions are not restored: the candidates are open. pairs.jsonl has fewer fields than items.jsonl; its generator is
the first part of the candidate's key. Fields that no export has are stored with the candidate.
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

_ITEM_FIELDS: Final = frozenset(each.name for each in fields(ExportItem))
_KNOWN: Final = _ITEM_FIELDS | {"image"}
_NEEDED: Final = frozenset({"source", "text", "key", "file_name", "caption", "concept", "negation_type", "cue"})
_PIPELINE: Final = "import"
_NAME_LIMIT: Final = 100
_BATCH: Final = 5_000


def is_exported(names: Iterable[str]) -> bool:
    """Return whether an object with these members is a line of items.jsonl or pairs.jsonl."""
    members = set(names)
    return members >= _NEEDED and ("image_key" in members or "image" in members)


def sources_in(path: Path) -> tuple[str, ...]:
    """Return the names of the sources in a file, in the order of the file.

    Raises:
        InputError: No row names a source.
    """
    rows = (row for row in read_jsonl(path) if isinstance(row, TableRow))
    sources = tuple(dict.fromkeys(name for row in rows if (name := _source(row.cells)) is not None))
    if not sources:
        raise InputError("no row names its source", hint="name the source of the images: --source NAME")
    return sources


def read_exported(path: Path, naming: Naming, sources: Iterable[str], *, generator: str = "") -> Iterator[RowBatch]:
    """Yield the rows of an export; each batch has the rows of one source.

    Args:
        sources: The sources that the rows name; empty: all rows get the source of `naming`.
        generator: Generator of all candidates, if the user names one; keys and generators of the file are then not
            restored.
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
            why = RefusedRow(RejectReason.BAD_VALUE, f"not a valid source: {excerpt(row.cells.get('source'))[:60]}")
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
    """Return the source that a row names; None: the row names no valid source."""
    source = cells.get("source")
    valid = isinstance(source, str) and source == clean(source).strip() and 0 < len(source) <= _NAME_LIMIT
    return source if valid else None


def _add(row: TableRow, naming: Naming, batch: RowBatch, *, as_stated: bool) -> None:
    cells = row.cells
    key = None
    try:
        key = key_of(cells.get("image_key", cells.get("image")))
        stated = next((cells[name] for name in ("file_name", "url") if cells.get(name) is not None), None)
        name = None if stated is None else naming.name(stated)
        generator = _generator_of(cells)
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
    names = (None, None, None) if name is None else (name.file_name, name.url, name.unstripped)
    batch.images.append(ImageRow(key, names[0], None, None, None, row.at, None, *names[1:]))
    original = None
    if cells.get("caption") is not None:
        original = len(batch.captions)
        batch.captions.append(CaptionRow(caption_key, key, cells["caption"], row.at))
    stated = generator if as_stated else None
    batch.candidates.append(
        CandidateRow(generator.key, key, original, cells.get("text"), concept, extra, row.at, None, kind, stated)
    )


def _generator_of(cells: Mapping[str, Any]) -> RowGenerator:
    key = key_of(cells.get("key"))
    generator = _text_or_none(cells, "generator") or key.partition("/")[0] or _PIPELINE
    pipeline = _text_or_none(cells, "pipeline") or _PIPELINE
    return RowGenerator(key, generator, pipeline, _text_or_none(cells, "prompt_version"))


def _type(value: object) -> NegationType | None:
    if value is None:
        return None
    try:
        return NegationType(str(value))
    except ValueError:
        raise RefusedRow(RejectReason.BAD_VALUE, f"not a valid negation_type: {excerpt(value)[:60]}") from None


def _text_or_none(cells: Mapping[str, Any], name: str) -> str | None:
    value = cells.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or clean(value) != value or len(value) > KEY_LIMIT:
        raise RefusedRow(RejectReason.BAD_VALUE, f"{name}: not a valid text: {json.dumps(excerpt(value)[:60])}")
    return value
