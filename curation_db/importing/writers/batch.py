"""Writes batches of rows: replaces keys by ids, inserts what is new, and compares what is stored.

The fast path is one INSERT that skips rows whose key is stored. The stored rows are read only if fewer rows were
inserted than were sent: equal content counts as unchanged, other content is refused. No stored value is overwritten.

Empty columns of stored rows are filled in, with the sequence number (`event_clock`) from which exports contain the
value.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from curation_db.events import event_clock
from curation_db.importing.report import WriteOutcome
from curation_db.importing.rows import RowBatch
from curation_db.importing.writers.candidates import CandidateWriter, Provenance
from curation_db.importing.writers.captions import insert_captions
from curation_db.importing.writers.images import ImageWriter
from curation_db.importing.writers.objects import insert_objects
from curation_db.importing.writers.questions import insert_questions


class BatchWriter:
    def __init__(self, provenance: Provenance) -> None:
        self._provenance = provenance
        self.images = ImageWriter(provenance.source)

    def write(self, connection: Connection, batch: RowBatch) -> WriteOutcome:
        """Store `batch` in the caller's transaction."""
        outcome = WriteOutcome()
        source_id = self.images.source_id = self.images.source_id or _source_id(connection, self._provenance.source)
        if batch.licenses:
            _note_licenses(connection, source_id, batch.licenses)
        if batch.images:
            self.images.insert(connection, batch.images, outcome)
        self.images.refuse_references(batch, outcome)
        captions: list[int | None] = []
        if batch.captions:
            images = self.images.resolve(connection, [row.image for row in batch.captions])
            captions = insert_captions(connection, source_id, images, batch, outcome)
        if batch.candidates:
            images = self.images.resolve(connection, [row.image for row in batch.candidates])
            writer = CandidateWriter(self._provenance, source_id)
            writer.insert(connection, images, batch, captions, outcome)
        if batch.objects:
            images = self.images.resolve(connection, [row.image for row in batch.objects])
            insert_objects(connection, images, batch.objects, outcome)
        if batch.questions:
            images = self.images.resolve(connection, [row.image for row in batch.questions])
            insert_questions(connection, source_id, images, batch.questions, outcome)
        return outcome


def _note_licenses(connection: Connection, source_id: int, licenses: str) -> None:
    """Store the licences of a source, if no earlier file named any."""
    written = connection.execute(
        text("UPDATE source SET licenses = :licenses, licenses_since = :since WHERE id = :id AND licenses IS NULL"),
        {"licenses": licenses, "id": source_id, "since": event_clock.next_seq(connection)},
    )
    if written.rowcount:
        event_clock.mark_arrival(connection, event_clock.Arrival.DETAILS)


def _source_id(connection: Connection, name: str) -> int:
    connection.execute(text("INSERT INTO source(name) VALUES (:name) ON CONFLICT DO NOTHING"), {"name": name})
    return int(connection.execute(text("SELECT id FROM source WHERE name = :name"), {"name": name}).scalar_one())
