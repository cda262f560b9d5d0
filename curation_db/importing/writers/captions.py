"""Writes the captions of a batch, and compares those whose key or text is in the record already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from curation_db import dialect, marks
from curation_db.importing.report import Outcome
from curation_db.importing.rows import Batch, CaptionRow, Reason, RefusedRow, prepared, reject
from curation_db.importing.writers.images import SOURCE_HINT

_COLUMNS = ("source_id", "key", "image_id", "text", "raw_sha256")


class _Prepared(NamedTuple):
    """A caption that may be inserted, in the order of `_COLUMNS`."""

    source_id: int
    key: str
    image_id: int
    text: str
    digest: bytes


def insert_captions(
    connection: Connection, source_id: int, images: Mapping[str, int], batch: Batch, outcome: Outcome
) -> list[int | None]:
    """Insert the batch's captions; `images` are the ids of images by key.

    Returns the captions' ids in order where the batch's candidates need them, else nothing.
    """
    prepared_rows: dict[int, _Prepared] = {}
    cleaned = 0
    for number, row in enumerate(batch.captions):
        key, image, raw, at = row
        try:
            shown, digest = prepared(raw)
            image_id = images[image]
        except RefusedRow as why:
            outcome.rejects.append(reject(at, why))
        except KeyError:
            if not image:
                continue  # `ImageWriter.refuse_references` has refused it
            outcome.refuse(at, Reason.UNKNOWN_IMAGE, f"no image {image} in the file or in the record")
        else:
            cleaned += shown is not raw and shown != raw
            prepared_rows[number] = _Prepared(source_id, key or f"{image}/{digest[:8].hex()}", image_id, shown, digest)
    outcome.counts["cleaned"] += cleaned
    ids = _store(connection, source_id, batch, prepared_rows, outcome)
    return [ids.get(number) for number in range(len(batch.captions))] if batch.candidates else []


def _store(
    connection: Connection, source_id: int, batch: Batch, prepared_rows: dict[int, _Prepared], outcome: Outcome
) -> dict[int, int]:
    """Insert the captions that are new and compare the others; returns ids by position in the batch."""
    ids = _known_texts(connection, batch.captions, prepared_rows)
    outcome.counts["unchanged"] += len(ids)
    sent = {number: row for number, row in prepared_rows.items() if number not in ids} if ids else prepared_rows
    new = dialect.insert_many(connection, "caption", _COLUMNS, list(sent.values()))
    outcome.counts["captions"] += new
    if new:
        marks.look_again(connection, (row.image_id for row in sent.values()))
    if new == len(sent) and not batch.candidates:
        return ids
    columns = ("id", "key", "image_id", "raw_sha256")
    keys = [row.key for row in sent.values()]
    old = {row.key: row for row in dialect.select_in(connection, "caption", columns, "key", keys, source_id=source_id)}
    same = set()
    for number, row in sent.items():
        stored = old[row.key]
        if (stored.image_id, stored.raw_sha256) == (row.image_id, row.digest):
            ids[number] = stored.id
            same.add(row.key)
            continue
        other = "text" if stored.image_id == row.image_id else "picture"
        message = f"caption {row.key} is there with another {other}"
        outcome.refuse(batch.captions[number].at, Reason.DUPLICATE, message, hint=SOURCE_HINT)
    # the same caption twice in a batch counts as one new row, not as a stored one
    outcome.counts["unchanged"] += len(same) - new
    return ids


def _known_texts(
    connection: Connection, rows: Sequence[CaptionRow], prepared_rows: dict[int, _Prepared]
) -> dict[int, int]:
    """Ids of the captions without a key whose text is stored for their image, under any key."""
    unnamed = {number: row for number, row in prepared_rows.items() if rows[number].key is None}
    if not unnamed:
        return {}
    images = sorted({row.image_id for row in unnamed.values()})
    stored = dialect.select_in(connection, "caption", ("id", "image_id", "raw_sha256"), "image_id", images)
    # of equal texts the one with the lowest id counts
    known = {(row.image_id, row.raw_sha256): row.id for row in sorted(stored, key=lambda row: -row.id)}
    texts = ((number, (row.image_id, row.digest)) for number, row in unnamed.items())
    return {number: known[text] for number, text in texts if text in known}
