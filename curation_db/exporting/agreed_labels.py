"""Labels that a benchmark may rest on: several people agree on them, or an adjudicator decided.

Answers to gold items are no votes, a policy's decision is no vote, and a candidate with a hasty decision is left out.
A rejected candidate is false in a known way only if its sole reason is `present`: the denied thing is in the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, text

from curation_db.enums import Reason, State
from curation_db.events import event_clock
from curation_db.events.in_force import in_force_sql
from curation_db.exporting.manifest import ExportItem
from curation_db.exporting.pairs import read_pairs
from curation_db.exporting.selection import BATCH, DecidedCandidate, ExportFilter, choose
from curation_db.language.token_counter import TextLimit
from curation_db.storage.sqlite import batches

_DECIDED = ExportFilter((State.ACCEPTED, State.REJECTED))
_DIGESTS_AT_ONCE = 30_000
"""SQLite takes 32,766 variables. Few queries are better, because the column has no index and each reads all images."""
_EVENTS = text(f"""
    SELECT e.candidate_id, e.uid FROM event e WHERE e.candidate_id IN :ids AND NOT e.gold AND e.seq <= :at
    AND e.role IN ('annotator', 'adjudicator') AND e.kind IN ('accept', 'reject', 'adjudicate', 'flip')
    AND {in_force_sql()} ORDER BY e.candidate_id, e.seq
""").bindparams(bindparam("ids", expanding=True))
_SAME_CONTENT = text("""
    SELECT s.name, i.key FROM image i JOIN source s ON s.id = i.source_id WHERE i.content_sha256 IN :digests
""").bindparams(bindparam("digests", expanding=True))


@dataclass(frozen=True, slots=True)
class AgreedLabel:
    """A candidate whose label has enough votes."""

    item: ExportItem
    adjudicated: bool
    events: tuple[str, ...]
    """UIDs of the decisions in force, in order."""


@dataclass(frozen=True, slots=True)
class AgreedLabels:
    event_seq: int
    labels: tuple[AgreedLabel, ...]
    too_few_votes: int
    """Accepted and rejected candidates with fewer votes, or with a hasty decision."""
    other_reason: int
    """Rejected candidates with enough votes, and another reason than `present`."""


def read_agreed_labels(connection: Connection, votes: int, limit: TextLimit) -> AgreedLabels:
    """Return the labels of now that at least `votes` people agree on, or that an adjudicator decided."""
    at = event_clock.current_seq(connection, _DECIDED.depends_on())
    chosen = choose(connection, _DECIDED, at=None)
    agreed = {number for number in chosen.ids if _has_votes(chosen.outcomes[number], votes)}
    usable = [number for number in chosen.ids if number in agreed and _is_usable(chosen.outcomes[number])]
    events = _events_of(connection, usable, at)
    wanted = replace(chosen, ids=usable)
    labels = tuple(
        AgreedLabel(pair.item, chosen.outcomes[number].adjudicated, events.get(number, ()))
        for number, pair in zip(usable, read_pairs(connection, wanted, limit), strict=True)
    )
    return AgreedLabels(chosen.event_seq, labels, len(chosen.ids) - len(agreed), len(agreed) - len(usable))


def _has_votes(outcome: DecidedCandidate, votes: int) -> bool:
    if outcome.hasty or outcome.auto:
        return False
    return outcome.adjudicated or (outcome.accepts if outcome.state is State.ACCEPTED else outcome.rejects) >= votes


def _is_usable(outcome: DecidedCandidate) -> bool:
    return outcome.state is State.ACCEPTED or outcome.reasons == (Reason.PRESENT,)


def _events_of(connection: Connection, ids: list[int], at: int) -> dict[int, tuple[str, ...]]:
    events: dict[int, tuple[str, ...]] = {}
    for batch in batches(ids, BATCH):
        for row in connection.execute(_EVENTS, {"ids": batch, "at": at}):
            events[row.candidate_id] = (*events.get(row.candidate_id, ()), row.uid)
    return events


def images_of_content(connection: Connection, digests: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (source, image key) of the images that the record knows to have one of these SHA-256 digests."""
    for batch in batches([bytes.fromhex(digest) for digest in digests], _DIGESTS_AT_ONCE):
        for row in connection.execute(_SAME_CONTENT, {"digests": batch}):
            yield row.name, row.key
