"""Margins of pairs under a trained model: the ordering `mistaken` of the queue, and a filter and order of Browse.

The margin of a pair compares how well its negated caption and a contrary text fit the image (`trainers.margins`); a
low one is a sign that the pair is wrong. The record holds the margins of one run at a time, as the priorities of an
ordering of its own: they are derived data, which `negwb mistaken RUN` stores again from the files of the run.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

from curation_db.storage.sqlite import IN_IDS, json_array
from curation_db.storage.store import Store

MISTAKEN = "mistaken"
"""The ordering: the lowest margin first. Only pairs of the run's export have an entry."""
COMPUTE = "negwb mistaken RUN"
"""The command that stores the margins of a run."""
NO_MARGINS = "the record has no margins of a trained model"
_NOTE = "margins"
# Each in the queue group that the candidate has in the other orderings. CROSS JOIN keeps SQLite from reading the list
# once for every candidate.
_STORE = text("""
    INSERT INTO queue_entry(ordering, group_id, priority, candidate_id)
    SELECT :ordering, e.group_id, json_extract(m.value, '$[2]'), c.id FROM json_each(:rows) m
    CROSS JOIN source o ON o.name = json_extract(m.value, '$[0]')
    CROSS JOIN candidate c ON c.source_id = o.id AND c.key = json_extract(m.value, '$[1]')
    CROSS JOIN queue_entry e ON e.candidate_id = c.id AND e.ordering = 'oldest'
""")
_STORE_SOURCE = text("""
    INSERT INTO record_note(name, value) VALUES (:name, :value)
    ON CONFLICT(name) DO UPDATE SET value = excluded.value
""")


@dataclass(frozen=True, slots=True)
class PairMargin:
    """Margin of a pair, which is named as in an export."""

    source: str
    key: str
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginSource:
    """Origin of the margins in the record."""

    run: str
    model_hash: str
    export: str
    event_seq: int
    """The export holds the record as of this event. A later decision about a pair is a second look at it."""


@dataclass(frozen=True, slots=True)
class StoredMargins:
    stored: int
    unknown: int
    """Margins of pairs that the record does not have."""


def store_margins(store: Store, source: MarginSource, margins: Collection[PairMargin]) -> StoredMargins:
    """Replace the margins in the record, in one transaction.

    Raises:
        RecordError: the record is busy; its margins are as before.
    """
    rows = json.dumps([[each.source, each.key, each.margin] for each in margins])
    with store.write() as connection:
        connection.execute(text("DELETE FROM queue_entry WHERE ordering = :ordering"), {"ordering": MISTAKEN})
        stored = connection.execute(_STORE, {"ordering": MISTAKEN, "rows": rows}).rowcount
        connection.execute(_STORE_SOURCE, {"name": _NOTE, "value": json.dumps(asdict(source))})
    return StoredMargins(stored, len(margins) - stored)


def margin_source(connection: Connection) -> MarginSource | None:
    """Return the origin of the margins in the record; None: it has none."""
    value = connection.execute(text("SELECT value FROM record_note WHERE name = :name"), {"name": _NOTE}).scalar()
    return MarginSource(**json.loads(value)) if value else None


def margins_of(connection: Connection, candidate_ids: Collection[int]) -> dict[int, float]:
    """Return the margins of those of the candidates that have one."""
    rows = connection.execute(
        text(f"SELECT candidate_id, priority FROM queue_entry WHERE ordering = :ordering AND candidate_id {IN_IDS}"),
        {"ordering": MISTAKEN, "ids": json_array(candidate_ids)},
    )
    return {row.candidate_id: row.priority for row in rows}
