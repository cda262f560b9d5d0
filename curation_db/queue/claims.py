"""The queue: who gets which card next, and for how long.

A claim is one write transaction: it looks at the head of every group the person may be served from, takes the least
priorities that nobody else holds, and leases them. Nothing here grows with the number of candidates.
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
from curation_db.queue.groups import CLOSED, GOLD, passes_of
from curation_db.queue.ordering import DEFAULT_ORDERING, OLDEST
from curation_db.storage.sqlite import IN_IDS, json_array
from curation_db.storage.store import Store
from curation_db.storage.work_sessions import LEASE_SECONDS, OWN_MACHINE, lease_valid_sql

AUDIT_SHARE = 0.1
"""By default one served card in ten is from the audit set (DESIGN section 4)."""
GOLD_SHARE = 0.1
"""By default one served card in ten is one whose answer is known, as long as there are any."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A card that is in your hands."""

    candidate_id: int
    stream: Stream
    gold: bool = False
    """Its answer is known; nobody may see that before the decision."""


@dataclass(frozen=True, slots=True)
class _Group:
    id: int
    stream: str
    tier: int
    """How often the asker has passed on its candidates; what was passed on comes later."""


# The inner selects see only leased rows, of which there are a few per session.
_IN_FORCE = lease_valid_sql("l", OWN_MACHINE)
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
# Of a card whose answer is known everybody is asked, whoever else holds it.
_GOLD_HEAD = text(f"""
    SELECT e.candidate_id, e.priority FROM queue_entry e
    WHERE e.ordering = :ordering AND e.group_id = :group AND {_NOT_MINE}
    ORDER BY e.priority, e.candidate_id LIMIT 1
""")
_ASKED = f"""
    SELECT DISTINCT e.candidate_id FROM queue_entry e JOIN queue_group g ON g.id = e.group_id
    WHERE e.candidate_id {IN_IDS} AND g.stream != :closed AND instr(g.voters, :voter) = 0
"""
_ASKED_OF = text(_ASKED)
_TO_BE_HAD = text(f"{_ASKED} AND {_NOT_MINE} AND (g.stream LIKE 'gold-%' OR {_FREE})")
_GOLD_STREAMS = tuple(GOLD.values())


class Queue:
    """One person's way through the queue."""

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
        """Args are the person and how the work is served.

        `only`: nothing but this stream, whatever `audit_share`. Cards with a known answer look like the review's and
        come among these.
        """
        self._store = store
        self._actor = actor
        self._ordering = ordering
        self._audit_share = audit_share
        self._gold_share = gold_share
        self._gold_streams = () if only is Stream.AUDIT else tuple(GOLD.values())
        self._given: Counter[str] = Counter()
        """Cards with a known answer that this sitting was given, by that answer."""
        self._only = only
        self._lease_seconds = lease_seconds
        self._clock = clock
        # Seeded by the session: the mix is random to the person and repeatable for us.
        self._mix = random.Random(actor.session)

    def claim(self, count: int = 1, *, revisit: bool = False) -> list[Claim]:
        """Take up to `count` cards; fewer (or none) when the queue has no more for this person now.

        `revisit`: also serve what this person skipped or was unsure about, the least passed first.
        """
        with self._store.write() as connection:
            groups = self._groups(connection, revisit=revisit)
            claims: list[Claim] = []
            while len(claims) < count and (claim := self._next(connection, groups)) is not None:
                self._take(connection, claim.candidate_id)
                claims.append(claim)
        return claims

    def retake(self, candidate_id: int) -> None:
        """Take a particular card, whoever else has it: a person asked for it by name."""
        with self._store.write() as connection:
            self._take(connection, candidate_id)

    def ready_to_show(self, candidate_ids: Collection[int]) -> set[int]:
        """Those of these cards that this session holds by a valid lease, and that still ask for this person.

        Reads only: it does not wait for writers.
        """
        with self._store.read() as connection:
            mine = leases.held(connection, self._actor, candidate_ids, clock=self._clock)
            return mine & asked(connection, mine, self._actor.annotator_id)

    def renew(self, candidate_ids: Collection[int]) -> set[int]:
        """Keep these cards for another while; called while a card is being looked at.

        A card whose lease was lost (after a suspend, say) is taken again where it still asks for this person and
        nobody else has it. Returns the cards that this session holds now.
        """
        with self._store.write() as connection:
            kept = leases.held(connection, self._actor, candidate_ids, clock=self._clock)
            leases.renew(connection, self._actor, kept, seconds=self._lease_seconds, clock=self._clock)
            for number in [each for each in dict.fromkeys(candidate_ids) if each not in kept]:
                if self._to_be_had(connection, number):
                    self._take(connection, number)
                    kept.add(number)
        return kept

    def release(self, candidate_ids: Collection[int]) -> None:
        """Give these cards back."""
        with self._store.write() as connection:
            leases.release(connection, self._actor, candidate_ids)

    def _take(self, connection: Connection, candidate_id: int) -> None:
        leases.take(connection, self._actor, candidate_id, seconds=self._lease_seconds, clock=self._clock)

    def _to_be_had(self, connection: Connection, candidate_id: int) -> bool:
        """Whether this person could be served this card now."""
        values = {**_asking(self._actor.annotator_id, [candidate_id]), **self._who_and_when()}
        return connection.execute(_TO_BE_HAD, values).first() is not None

    def _who_and_when(self) -> dict[str, object]:
        """The values of `_NOT_MINE` and `_FREE`."""
        return {"me": self._actor.annotator_id, "session": self._actor.session, "now": self._clock()}

    def _groups(self, connection: Connection, *, revisit: bool) -> list[_Group]:
        """The groups this person may be served from."""
        me = self._actor.annotator_id
        rows = connection.execute(
            text("SELECT id, stream, passes FROM queue_group WHERE stream != :closed AND instr(voters, :me) = 0"),
            {"me": f",{me},", "closed": CLOSED},
        )
        groups = [_Group(row.id, row.stream, passes_of(row.passes, me)) for row in rows]
        return [group for group in groups if revisit or group.tier == 0]

    def _next(self, connection: Connection, groups: list[_Group]) -> Claim | None:
        """The next card: the stream is drawn, then what was passed on least, then the least priority."""
        streams = self._streams()
        gold = self._gold(groups)
        for tier in sorted({group.tier for group in groups}):
            # what was passed on comes back whatever it is
            for stream in [*gold, *streams] if tier == 0 else [*streams, *self._gold_streams]:
                alike = [group.id for group in groups if group.tier == tier and group.stream == stream]
                if (number := self._first(connection, stream, alike)) is not None:
                    return self._claimed(number, stream)
        return None

    def _claimed(self, number: int, stream: str) -> Claim:
        if stream not in _GOLD_STREAMS:
            return Claim(number, Stream(stream))
        self._given[stream] += 1
        return Claim(number, Stream.REVIEW, gold=True)

    def _first(self, connection: Connection, stream: str, groups: list[int]) -> int | None:
        """The first candidate of these groups; what its policy has not placed yet comes after, the oldest first."""
        for ordering in (OLDEST,) if stream in _GOLD_STREAMS else dict.fromkeys((self._ordering, OLDEST)):
            statement = _GOLD_HEAD if stream in _GOLD_STREAMS else _HEAD
            heads = [head for id_ in groups if (head := self._head(connection, statement, ordering, id_)) is not None]
            if heads:
                return min(heads)[1]
        return None

    def _streams(self) -> list[str]:
        """The streams to serve from, in the order in which they are looked at."""
        if self._only is not None:
            return [self._only]
        streams: list[str] = [Stream.REVIEW, Stream.AUDIT]
        if self._mix.random() < self._audit_share:
            streams.reverse()
        return streams

    def _gold(self, groups: list[_Group]) -> list[str]:
        """The streams of known answers that this card is to come from, if it is to come from one.

        That of which this sitting was given less, either where it was given as many: so accepts and rejects stay
        balanced whatever the set holds. Where there is no more of it for this person, an ordinary card comes instead.
        """
        if not any(group.stream in self._gold_streams and group.tier == 0 for group in groups):
            return []
        if self._mix.random() >= self._gold_share:
            return []
        fewest = min(self._given[stream] for stream in _GOLD_STREAMS)
        return [each for each in self._mix.sample(_GOLD_STREAMS, k=2) if self._given[each] == fewest]

    def _head(
        self, connection: Connection, statement: TextClause, ordering: str, group: int
    ) -> tuple[float, int] | None:
        values = {"ordering": ordering, "group": group, **self._who_and_when()}
        row = connection.execute(statement, values).first()
        return (row.priority, row.candidate_id) if row else None


def asked(connection: Connection, candidate_ids: Iterable[int], annotator_id: int) -> set[int]:
    """Those of a few candidates that the queue still has for this person."""
    return set(connection.execute(_ASKED_OF, _asking(annotator_id, candidate_ids)).scalars())


def _asking(annotator_id: int, candidate_ids: Iterable[int]) -> dict[str, object]:
    """The values of `_ASKED`."""
    return {"ids": json_array(candidate_ids), "closed": CLOSED, "voter": f",{annotator_id},"}


def waiting(connection: Connection, annotator_id: int, only: Stream | None = None) -> dict[str, int]:
    """What the queue still holds for a person: `fresh` cards and `passed` ones (skipped, unsure).

    `only`: of this stream. Fresh cards with a known answer do not count: they come among the others or not at all.

    Counts rows of the queue, so it is for the end of the queue and for `status`, not for the way to the next card.
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
