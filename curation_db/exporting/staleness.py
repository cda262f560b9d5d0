"""Staleness of exports: whether the same export would contain other pairs now.

An export is stale when, since its event, some pair entered or left the states that it selects. A decision that changes
no state (a second accept, a note, a skip) makes no export stale. An import only does so for an export of open
candidates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from curation_db.enums import State
from curation_db.events import event_clock
from curation_db.exporting.manifest import ExportItem
from curation_db.exporting.selection import BATCH, DecidedCandidate, ExportFilter, choose, left_out, outcomes_at
from curation_db.storage.sqlite import IN_IDS, batches, json_array

# `since` grows with the id: a search from the end costs only the new candidates
_LATE = text("""
    SELECT id FROM candidate WHERE since > :seq AND id >
        coalesce((SELECT id FROM candidate WHERE since <= :seq ORDER BY id DESC LIMIT 1), 0)
""")


_PAIR_KEYS = text(f"""
    SELECT s.name, c.key FROM candidate c JOIN source s ON s.id = c.source_id WHERE c.id {IN_IDS}
""")
_UNTOUCHED = DecidedCandidate()


@dataclass(frozen=True, slots=True)
class Drift:
    """How an export's selection changed since the export."""

    entered: int = 0
    """Pairs that an export now would add."""
    left: int = 0
    """Pairs that an export now would drop."""

    @property
    def stale(self) -> bool:
        """Whether an export now would contain other pairs."""
        return self.entered + self.left > 0


def drift_since(connection: Connection, event_seq: int, selection: ExportFilter) -> Drift:
    """Return how the pairs that match `selection` differ between the event `event_seq` and now, for a selection without
    a query; see `drift_of_items`.

    The cost grows with the events in between.
    """
    selection = selection.resolved(connection)
    has_open = State.OPEN in selection.states
    was_untouched = has_open and selection.holds(_UNTOUCHED)
    ignored = left_out(connection, selection)
    late = {row.id for row in connection.execute(_LATE, {"seq": event_seq})} if has_open else set()
    earlier = outcomes_at(connection, event_seq, since=event_seq)
    before = {number: selection.holds(outcome) for number, outcome in earlier}
    entered = left = 0
    untouched = late - ignored if was_untouched else set[int]()
    until = event_clock.current_seq(connection, (event_clock.Arrival.OVERLAPS,))
    for number, outcome in outcomes_at(connection, until, since=event_seq):
        untouched.discard(number)
        if number in ignored:
            continue
        was, holds = before.get(number, was_untouched and number not in late), selection.holds(outcome)
        entered += holds and not was
        left += was and not holds
    return Drift(entered + len(untouched), left)  # candidates without a decision are open


def drift_of_items(connection: Connection, items: Iterable[ExportItem], selection: ExportFilter) -> Drift:
    """Return how the pairs that match `selection` now differ from those of an export, the `items`.

    A query is answered by the record of now, so its earlier answer is only in the export. The cost grows with the
    record.
    """
    before = {(item.source, item.key) for item in items}
    chosen = choose(connection, selection)
    now: set[tuple[str, str]] = set()
    for ids in batches(chosen.ids, BATCH):
        now.update((row.name, row.key) for row in connection.execute(_PAIR_KEYS, {"ids": json_array(ids)}))
    return Drift(len(now - before), len(before - now))
