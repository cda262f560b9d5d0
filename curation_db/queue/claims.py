"""The queue: select and lease the next cards for an annotator.

A claim is one write transaction: it reads the head of every group that may be served to the annotator, takes the least
priorities that no other annotator has leased, and leases them. Its cost does not grow with the number of candidates.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, TextClause, text

from curation_db.enums import Stream
from curation_db.events.annotators import Actor
from curation_db.queue import leases
from curation_db.queue.audit_order import AUDIT_ORDER
from curation_db.queue.groups import CLOSED, GOLD, passes_of
from curation_db.queue.ordering import DEFAULT_ORDERING, OLDEST
from curation_db.storage.sqlite import IN_IDS, json_array
from curation_db.storage.store import Store
from curation_db.storage.work_sessions import LEASE_SECONDS, OWN_MACHINE, lease_valid_sql

AUDIT_SHARE = 0.1
"""Default share of served cards that come from the audit set."""
GOLD_SHARE = 0.1
"""Default share of served cards that are gold items, as long as there are any for the annotator."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A card leased to the annotator."""

    candidate_id: int
    stream: Stream
    gold: bool = False
    """The card is a gold item. It must not show before the decision."""
    second_look: bool = False
    """The pair is accepted, and a model doubts it (`second_looks`)."""


@dataclass(frozen=True, slots=True)
class _Group:
    id: int
    stream: str
    tier: int
    """How often the annotator has skipped these candidates or been unsure; a higher tier is served later."""


# The inner selects see only leased rows, of which there are a few per session.
_IN_FORCE = lease_valid_sql(OWN_MACHINE)
_NOT_MINE = f"""
    NOT EXISTS (SELECT 1 FROM lease l WHERE l.candidate_id = e.candidate_id AND l.annotator_id = :me AND {_IN_FORCE})
"""
_FREE = f"""
    (SELECT count(*) FROM lease l WHERE l.candidate_id = e.candidate_id AND l.annotator_id != :me AND {_IN_FORCE})
    < (SELECT s.wanted FROM candidate_state s WHERE s.candidate_id = e.candidate_id)
"""
_HEAD = text(f"""
    SELECT e.candidate_id, e.priority FROM queue_entry e
    WHERE e.ordering = :ordering AND e.group_id = :group AND {_NOT_MINE} AND {_FREE}
    ORDER BY e.priority, e.candidate_id LIMIT 1
""")
# A gold item is served to every annotator, also while another one holds a lease on it.
_GOLD_HEAD = text(f"""
    SELECT e.candidate_id, e.priority FROM queue_entry e
    WHERE e.ordering = :ordering AND e.group_id = :group AND {_NOT_MINE}
    ORDER BY e.priority, e.candidate_id LIMIT 1
""")
_QUEUED = f"""
    SELECT DISTINCT e.candidate_id FROM queue_entry e JOIN queue_group g ON g.id = e.group_id
    WHERE e.candidate_id {IN_IDS} AND g.stream != :closed AND instr(g.voters, :voter) = 0
"""
_QUEUED_STATEMENT = text(_QUEUED)
_CLAIMABLE = text(f"{_QUEUED} AND {_NOT_MINE} AND (g.stream LIKE 'gold-%' OR {_FREE})")
_GOLD_STREAMS = tuple(GOLD.values())


class Queue:
    """The queue as one annotator sees it."""

    def __init__(
        self,
        store: Store,
        actor: Actor,
        *,
        ordering: str = DEFAULT_ORDERING,
        audit_share: float = AUDIT_SHARE,
        gold_share: float = GOLD_SHARE,
        only: Stream | None = None,
        lease_seconds: float = LEASE_SECONDS,
        clock: leases.Clock = time.time,
    ) -> None:
        """Open the queue for `actor`.

        Args:
            audit_share: Share of cards from the audit set, from 0 to 1.
            gold_share: Share of gold items, from 0 to 1.
            only: Serve this stream alone, whatever `audit_share` is. Gold items look like cards of the review stream
                and are served with these.
        """
        self._store = store
        self._actor = actor
        self._ordering = ordering
        self._audit_share = audit_share
        self._gold_share = gold_share
        self._gold_streams = () if only is Stream.AUDIT else tuple(GOLD.values())
        self._gold_served: Counter[str] = Counter()
        """Gold items served in this session, by stream (that is, by known answer)."""
        self._only = only
        self._lease_seconds = lease_seconds
        self._clock = clock
        # Seeded by the session: unpredictable for the annotator, repeatable in a test.
        self._mix = random.Random(actor.session)

    def claim(self, count: int = 1, *, revisit: bool = False) -> list[Claim]:
        """Lease up to `count` cards; return fewer (or none) when the queue has no more for this annotator now.

        With `revisit`, also serve cards that this annotator skipped or was unsure about, least passed first.
        """
        with self._store.write() as connection:
            groups = self._groups(connection, revisit=revisit)
            claims: list[Claim] = []
            while len(claims) < count and (claim := self._next(connection, groups)) is not None:
                self._take(connection, claim.candidate_id)
                claims.append(claim)
        return claims

    def retake(self, candidate_id: int) -> None:
        """Lease this card, also where another annotator holds a lease: the annotator chose it explicitly."""
        with self._store.write() as connection:
            self._take(connection, candidate_id)

    def ready_to_show(self, candidate_ids: Collection[int]) -> set[int]:
        """Return the cards that this session holds by a valid lease and that are still queued for this annotator.

        Read-only, so it does not wait for writers.
        """
        with self._store.read() as connection:
            leased = leases.held(connection, self._actor, candidate_ids, clock=self._clock)
            return leased & self.wanted(connection, leased)

    def wanted(self, connection: Connection, candidate_ids: Collection[int]) -> set[int]:
        """Return those of a few cards that are still to be decided by this annotator."""
        return still_queued_for(connection, candidate_ids, self._actor.annotator_id)

    def renew(self, candidate_ids: Collection[int]) -> set[int]:
        """Extend the leases of these cards; return the cards that this session holds now.

        Called while a card is shown. A card whose lease was lost (for example during a suspend) is leased again where
        it is still queued for this annotator and no other annotator has it.
        """
        with self._store.write() as connection:
            leased = leases.held(connection, self._actor, candidate_ids, clock=self._clock)
            leases.renew(connection, self._actor, leased, seconds=self._lease_seconds, clock=self._clock)
            for number in [each for each in dict.fromkeys(candidate_ids) if each not in leased]:
                if self._is_claimable(connection, number):
                    self._take(connection, number)
                    leased.add(number)
        return leased

    def release(self, candidate_ids: Collection[int]) -> None:
        """Release the leases of these cards."""
        with self._store.write() as connection:
            leases.release(connection, self._actor, candidate_ids)

    def _take(self, connection: Connection, candidate_id: int) -> None:
        leases.take(connection, self._actor, candidate_id, seconds=self._lease_seconds, clock=self._clock)

    def _is_claimable(self, connection: Connection, candidate_id: int) -> bool:
        """Return whether this card could be served to this annotator now."""
        values = {**_queued_parameters(self._actor.annotator_id, [candidate_id]), **self._lease_parameters()}
        return connection.execute(_CLAIMABLE, values).first() is not None

    def _lease_parameters(self) -> dict[str, object]:
        """Return the parameters of `_NOT_MINE` and `_FREE`."""
        return {"me": self._actor.annotator_id, "session": self._actor.session, "now": self._clock()}

    def _groups(self, connection: Connection, *, revisit: bool) -> list[_Group]:
        """Return the groups that may be served to this annotator."""
        me = self._actor.annotator_id
        rows = connection.execute(
            text("SELECT id, stream, passes FROM queue_group WHERE stream != :closed AND instr(voters, :me) = 0"),
            {"me": f",{me},", "closed": CLOSED},
        )
        groups = [_Group(row.id, row.stream, passes_of(row.passes, me)) for row in rows]
        return [group for group in groups if revisit or group.tier == 0]

    def _next(self, connection: Connection, groups: list[_Group]) -> Claim | None:
        """Return the next card: draw the stream, then take the lowest tier, then the least priority."""
        streams = self._draw_streams()
        gold = self._draw_gold_streams(groups)
        for tier in sorted({group.tier for group in groups}):
            # cards that were passed come back whatever their stream
            for stream in [*gold, *streams] if tier == 0 else [*streams, *self._gold_streams]:
                group_ids = [group.id for group in groups if group.tier == tier and group.stream == stream]
                if (number := self._first(connection, stream, group_ids)) is not None:
                    return self._claimed(number, stream)
        return None

    def _claimed(self, number: int, stream: str) -> Claim:
        if stream not in _GOLD_STREAMS:
            return Claim(number, Stream(stream))
        self._gold_served[stream] += 1
        return Claim(number, Stream.REVIEW, gold=True)

    def _first(self, connection: Connection, stream: str, groups: list[int]) -> int | None:
        """Return the first candidate of these groups; those without a priority under the policy yet follow by age."""
        for ordering in self._orderings(stream):
            statement = _GOLD_HEAD if stream in _GOLD_STREAMS else _HEAD
            heads = [head for id_ in groups if (head := self._head(connection, statement, ordering, id_)) is not None]
            if heads:
                return min(heads)[1]
        return None

    def _orderings(self, stream: str) -> tuple[str, ...]:
        """Return the orderings that the cards of a stream are served by; the second one is for cards without a place.

        The audit stream is served at random, so that the labels so far are a random sample at any time.
        """
        if stream in _GOLD_STREAMS:
            return (OLDEST,)
        return tuple(dict.fromkeys((AUDIT_ORDER if stream == Stream.AUDIT else self._ordering, OLDEST)))

    def _draw_streams(self) -> list[str]:
        """Return the streams to serve from, in the order to try them."""
        if self._only is not None:
            return [self._only]
        streams: list[str] = [Stream.REVIEW, Stream.AUDIT]
        if self._mix.random() < self._audit_share:
            streams.reverse()
        return streams

    def _draw_gold_streams(self, groups: list[_Group]) -> list[str]:
        """Return the gold streams to take this card from, in the order to try them; none for an ordinary card.

        The stream of which this session was served fewer cards is chosen, either one where the counts are equal. So
        gold accepts and rejects stay balanced whatever the set holds. Where that stream has no more cards for this
        annotator, an ordinary card is served instead.
        """
        if not any(group.stream in self._gold_streams and group.tier == 0 for group in groups):
            return []
        if self._mix.random() >= self._gold_share:
            return []
        fewest = min(self._gold_served[stream] for stream in _GOLD_STREAMS)
        return [each for each in self._mix.sample(_GOLD_STREAMS, k=2) if self._gold_served[each] == fewest]

    def _head(
        self, connection: Connection, statement: TextClause, ordering: str, group: int
    ) -> tuple[float, int] | None:
        values = {"ordering": ordering, "group": group, **self._lease_parameters()}
        row = connection.execute(statement, values).first()
        return (row.priority, row.candidate_id) if row else None


def still_queued_for(connection: Connection, candidate_ids: Iterable[int], annotator_id: int) -> set[int]:
    """Return those of a few candidates that are still queued for this annotator."""
    return set(connection.execute(_QUEUED_STATEMENT, _queued_parameters(annotator_id, candidate_ids)).scalars())


def _queued_parameters(annotator_id: int, candidate_ids: Iterable[int]) -> dict[str, object]:
    return {"ids": json_array(candidate_ids), "closed": CLOSED, "voter": f",{annotator_id},"}


def count_remaining(connection: Connection, annotator_id: int, only: Stream | None = None) -> dict[str, int]:
    """Count the cards that are queued for an annotator: `fresh` ones, and `passed` ones (skipped, unsure).

    `only` restricts the count to one stream. Fresh gold items do not count: they are served among other cards or not
    at all.

    The query counts rows of the queue. Call it at the end of the queue and for `status`, never between two cards.
    """
    rows = connection.execute(
        text("""SELECT g.stream, g.passes, (SELECT count(*) FROM queue_entry e
                WHERE e.ordering = :ordering AND e.group_id = g.id) AS items
                FROM queue_group g WHERE g.stream != 'closed' AND instr(g.voters, :me) = 0"""),
        {"ordering": DEFAULT_ORDERING, "me": f",{annotator_id},"},
    )
    counts = {"fresh": 0, "passed": 0}
    for row in rows:
        if only is not None and row.stream != only and (only is Stream.AUDIT or row.stream not in _GOLD_STREAMS):
            continue
        if passes_of(row.passes, annotator_id):
            counts["passed"] += row.items
        elif row.stream not in _GOLD_STREAMS:
            counts["fresh"] += row.items
    return counts
