"""Writes the captions of a batch, and compares captions whose key or text is stored already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from curation_db.importing.report import WriteOutcome
from curation_db.importing.rows import CaptionRow, RefusedRow, RejectReason, RowBatch, checked_text, reject
from curation_db.importing.writers.images import SOURCE_HINT
from curation_db.lint import index
from curation_db.storage import sqlite

_COLUMNS = ("source_id", "key", "image_id", "text", "raw_sha256")


_Values = tuple[int, str, int, str, bytes]
"""A caption that may be inserted, in the order of `_COLUMNS`; a plain tuple, because there are millions of them."""


def insert_captions(
    connection: Connection, source_id: int, images: Mapping[str, int], batch: RowBatch, outcome: WriteOutcome
) -> list[int | None]:
    """Insert the batch's captions; `images` are the ids of images by key.

    Returns:
        The ids of the captions in order (None: refused), if the batch has candidates; else an empty list.
    """
    values: dict[int, _Values] = {}
    cleaned = 0
    for number, row in enumerate(batch.captions):
        key, image, raw, at = row
        try:
            shown, digest = checked_text(raw)
            image_id = images[image]
        except RefusedRow as why:
            outcome.rejects.append(reject(at, why))
        except KeyError:
            if not image:
                continue  # `ImageWriter.refuse_references` has refused it
            outcome.refuse(at, RejectReason.UNKNOWN_IMAGE, f"no image {image} in the file or in the record")
        else:
            cleaned += shown is not raw and shown != raw
            values[number] = (source_id, key or f"{image}/{digest[:8].hex()}", image_id, shown, digest)
    outcome.counts["cleaned"] += cleaned
    ids = _store(connection, source_id, batch, values, outcome)
    return [ids.get(number) for number in range(len(batch.captions))] if batch.candidates else []


def _store(
    connection: Connection, source_id: int, batch: RowBatch, values: dict[int, _Values], outcome: WriteOutcome
) -> dict[int, int]:
    """Insert the captions that are new and compare the others; returns ids by position in the batch."""
    ids = _stored_texts(connection, batch.captions, values)
    outcome.counts["unchanged"] += len(ids)
    sent = {number: each for number, each in values.items() if number not in ids} if ids else values
    new = sqlite.insert_or_ignore(connection, "caption", _COLUMNS, list(sent.values()))
    outcome.counts["captions"] += new
    if new:
        index.queue_for_indexing(connection, (image_id for _, _, image_id, _, _ in sent.values()))
    if new == len(sent) and not batch.candidates:
        return ids
    columns = ("id", "key", "image_id", "raw_sha256")
    keys = [key for _, key, _, _, _ in sent.values()]
    old = {row.key: row for row in sqlite.select_in(connection, "caption", columns, "key", keys, source_id=source_id)}
    same = set()
    for number, (_, key, image_id, _, digest) in sent.items():
        stored = old[key]
        if (stored.image_id, stored.raw_sha256) == (image_id, digest):
            ids[number] = stored.id
            same.add(key)
            continue
        other = "text" if stored.image_id == image_id else "image"
        message = f"caption {key} is stored with another {other}"
        outcome.refuse(batch.captions[number].at, RejectReason.DUPLICATE, message, hint=SOURCE_HINT)
    # the same caption twice in a batch counts as one new row, not as a stored one
    outcome.counts["unchanged"] += len(same) - new
    return ids


def _stored_texts(connection: Connection, rows: Sequence[CaptionRow], values: dict[int, _Values]) -> dict[int, int]:
    """Ids of the captions without a key whose text is stored for their image, under any key."""
    unnamed = {number: each for number, each in values.items() if rows[number].key is None}
    if not unnamed:
        return {}
    images = sorted({image_id for _, _, image_id, _, _ in unnamed.values()})
    stored = sqlite.select_in(connection, "caption", ("id", "image_id", "raw_sha256"), "image_id", images)
    # of equal texts the one with the lowest id counts
    known = {(row.image_id, row.raw_sha256): row.id for row in sorted(stored, key=lambda row: -row.id)}
    texts = ((number, (image_id, digest)) for number, (_, _, image_id, _, digest) in unnamed.items())
    return {number: known[text] for number, text in texts if text in known}
