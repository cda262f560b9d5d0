"""Writes the object counts of images; a stored count is compared and never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from curation_db.importing.report import WriteOutcome
from curation_db.importing.rows import ObjectRow, RejectReason
from curation_db.lint import index
from curation_db.storage import sqlite

_COLUMNS = ("image_id", "category", "count")


def insert_objects(
    connection: Connection, images: Mapping[str, int], rows: Sequence[ObjectRow], outcome: WriteOutcome
) -> None:
    """Insert the counts that are new; `images` are the ids of images by key."""
    known = []
    for row in rows:
        if row.image in images:
            known.append(row)
        else:
            outcome.refuse(row.at, RejectReason.UNKNOWN_IMAGE, f"no image {row.image} in the file or in the record")
    sent = [(images[row.image], row.category, row.number) for row in known]
    new = sqlite.insert_or_ignore(connection, "image_object", _COLUMNS, sent)
    outcome.counts["objects"] += new
    if new:
        index.queue_for_indexing(connection, (image_id for image_id, _, _ in sent))
    if new == len(sent):
        return
    stored = sqlite.select_in(connection, "image_object", _COLUMNS, "image_id", [image_id for image_id, _, _ in sent])
    old = {(image_id, category): number for image_id, category, number in stored}
    changed = [
        (row, old[image_id, category])
        for row, (image_id, category, number) in zip(known, sent, strict=True)
        if old[image_id, category] != number
    ]
    for row, count in changed:
        message = f"the record counts {count} × {row.category} in image {row.image}, not {row.number}"
        outcome.refuse(row.at, RejectReason.DUPLICATE, message)
    outcome.counts["unchanged"] += len(sent) - new - len(changed)
