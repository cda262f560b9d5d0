"""Reads the captions or the candidates of a workspace's record."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import text

from curation_db.corpus_audit.collector import Collector
from curation_db.corpus_audit.parts import Part, SourceForm
from curation_db.corpus_audit.readers.batch import CaptionBatch
from curation_db.corpus_audit.readers.lines import Report
from curation_db.storage.store import Store, open_read_only

PART_ROWS: Final = 100_000
CAPTIONS: Final = "caption"
CANDIDATES: Final = "candidate"
IMAGE: Final = "image "
"""Before the ID of an image of the record."""
_NEWEST: Final = {
    CAPTIONS: "SELECT max(id) FROM caption",
    CANDIDATES: "SELECT max(id) FROM candidate",
}
_COUNT: Final = {
    CAPTIONS: text("SELECT count(*) FROM caption WHERE id BETWEEN :first AND :last"),
    CANDIDATES: text("SELECT count(*) FROM candidate WHERE id BETWEEN :first AND :last"),
}
_ROWS: Final = {
    CAPTIONS: text("""
        SELECT c.id, c.key, s.name AS source, c.image_id, c.text FROM caption c JOIN source s ON s.id = c.source_id
        WHERE c.id > :after AND c.id <= :last ORDER BY c.id LIMIT 5000
    """),
    CANDIDATES: text("""
        SELECT c.id, c.key, s.name AS source, c.image_id, c.text FROM candidate c JOIN source s ON s.id = c.source_id
        WHERE c.id > :after AND c.id <= :last ORDER BY c.id LIMIT 5000
    """),
}


def record_parts(store: Store, table: str = CAPTIONS) -> list[Part]:
    """Return the parts of the record's captions or candidates, whose rows are never changed once they are written."""
    parts = []
    with store.read() as connection:
        newest = connection.execute(text(_NEWEST[table])).scalar() or 0
        for first in range(1, newest + 1, PART_ROWS):
            last = min(first + PART_ROWS - 1, newest)
            rows = connection.execute(_COUNT[table], {"first": first, "last": last}).scalar()
            parts.append(Part(store.path.name, str(store.path), SourceForm.RECORD, first, last + 1, str(rows), table))
    return parts


def read_record(part: Part, collector: Collector, report: Report) -> None:
    """Add the texts of a range of IDs."""
    after = part.start - 1
    with open_read_only(Path(part.path)) as store, CaptionBatch(collector) as batch:
        while True:
            with store.read() as connection:
                rows = connection.execute(_ROWS[part.table], {"after": after, "last": part.end - 1}).all()
            if not rows:
                return
            for row in rows:
                place = f"{part.table} {row.source}/{row.key}"
                batch.add([row.text], lambda place=place: place, f"{IMAGE}{row.image_id}")  # type: ignore[misc]
            after = rows[-1].id
            report(after - part.start + 1)
