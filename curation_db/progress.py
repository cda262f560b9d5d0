"""Progress: how fast people are, what is left, what they decided and why, and what all of it comes to.

Pure reads into frozen values. Each part takes a read of its own, so that no long reader keeps the log from shrinking;
parts of one `Progress` may therefore be a key press apart. Everything counts over whole tables (seconds for a million
candidates), so it is for a thread of its own, and `newest` says cheaply whether to look again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from curation_db.balance import Balance, balances
from curation_db.consensus import Consensus, audit_consensus, standing_consensus
from curation_db.history import undone
from curation_db.intervals import RESAMPLES
from curation_db.judged import Confusion, confusions
from curation_db.store import Store
from curation_db.targets import Targets
from curation_db.words import Kind, Reason

LONGEST_LOOK_MS: Final = 60_000
"""Milliseconds of one card that count at most as active time: a coffee does not make anybody slow."""
DECISIONS: Final = (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP, Kind.EDIT, Kind.ADJUDICATE, Kind.FLIP)
_LISTED = ", ".join(f"'{kind}'" for kind in DECISIONS)

_LOOKS = text(f"""
    SELECT actor, elapsed_ms, count(*) AS n, sum(kind IN ('accept', 'reject', 'edit')) AS votes FROM event
    WHERE kind IN ({_LISTED}) AND uid = act AND elapsed_ms IS NOT NULL AND role IN ('annotator', 'adjudicator')
    GROUP BY actor, elapsed_ms
""")
_SAID = text(f"""
    SELECT e.actor, e.kind, e.reason, count(*) AS n FROM event e
    WHERE e.kind IN ({_LISTED}) AND e.role IN ('annotator', 'adjudicator') AND NOT {undone()}
    GROUP BY e.actor, e.kind, e.reason
""")
_STATES = text("SELECT state, count(*) AS n, sum(wanted) AS wanted FROM candidate_state GROUP BY state")
_NEWEST = text("SELECT (SELECT coalesce(max(seq), 0) FROM event), (SELECT coalesce(max(id), 0) FROM candidate)")


@dataclass(frozen=True, slots=True)
class Speed:
    """How long cards take: over all decisions that were timed, those taken back too, for time went into them."""

    looks: int
    """Decisions of any kind that were timed."""
    votes: int
    """Those that bring the work on: accepts, rejects, edits."""
    active_ms: int
    """Time on cards, at most `LONGEST_LOOK_MS` each."""
    median_ms: int | None
    """Of all looks, uncut."""

    @property
    def per_hour(self) -> float | None:
        """Decisions per hour of active time."""
        return 3_600_000 * self.looks / self.active_ms if self.active_ms else None

    @property
    def votes_per_hour(self) -> float | None:
        """Of those that bring the work on."""
        return 3_600_000 * self.votes / self.active_ms if self.active_ms and self.votes else None


@dataclass(frozen=True, slots=True)
class Person:
    """One person's work."""

    name: str
    speed: Speed
    decisions: dict[Kind, int]
    """What stands, by kind; every kind of `DECISIONS` is there."""
    reasons: dict[Reason, int]
    """Of the rejections that stand; every reason is there."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is done and what is left."""

    states: dict[str, int]
    """Candidates by state; states that no candidate is in are missing."""
    wanted: int
    """Decisions that are still asked for."""
    team: Speed
    """Everybody together."""

    @property
    def hours_left(self) -> float | None:
        """Hours of one person's active time at the pace of all so far."""
        pace = self.team.votes_per_hour
        return self.wanted / pace if pace else None


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything."""

    work: Work
    people: tuple[Person, ...]
    balances: tuple[Balance, ...]
    standing: Consensus
    """On candidates with votes of two people or more, as they stand."""
    audit: Consensus
    """On the audit, by first words."""
    judges: tuple[Confusion, ...]


def read_progress(store: Store, targets: Targets | None = None, *, resamples: int = RESAMPLES) -> Progress:
    """Count everything anew."""
    with store.read() as connection:
        looks, said = connection.execute(_LOOKS).all(), connection.execute(_SAID).all()
        speeds, people = _speeds(looks), _people(connection)
        work = _work(connection, _speed((ms, n, votes) for _, ms, n, votes in looks))
    with store.read() as connection:
        spreads = balances(connection, targets or {})
    with store.read() as connection:
        standing, audit = (
            consensus(connection, resamples=resamples) for consensus in (standing_consensus, audit_consensus)
        )
    with store.read() as connection:
        judges = confusions(connection)
    named = sorted({*people, *speeds, *(actor for actor, _, _, _ in said)})
    return Progress(
        work, tuple(_person(name, speeds.get(name), said) for name in named), spreads, standing, audit, judges
    )


def newest(store: Store) -> tuple[int, int]:
    """Changes whenever a decision or a candidate comes in; two look-ups."""
    with store.read() as connection:
        event, candidate = connection.execute(_NEWEST).one()
    return int(event), int(candidate)


def _people(connection: Connection) -> set[str]:
    return {str(name) for (name,) in connection.execute(text("SELECT name FROM annotator"))}


def _work(connection: Connection, team: Speed) -> Work:
    rows = connection.execute(_STATES).all()
    return Work({row.state: row.n for row in rows}, sum(int(row.wanted) for row in rows), team)


def _speeds(looks: Iterable[tuple[str, int, int, int]]) -> dict[str, Speed]:
    by_person: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for actor, ms, number, votes in looks:
        by_person[actor].append((ms, number, votes))
    return {actor: _speed(told) for actor, told in by_person.items()}


def _speed(told: Iterable[tuple[int, int, int]]) -> Speed:
    """From (milliseconds, looks that took so long, votes among them)."""
    looks = sorted(told)
    number = sum(n for _, n, _ in looks)
    active = sum(min(ms, LONGEST_LOOK_MS) * n for ms, n, _ in looks)
    return Speed(number, sum(votes for _, _, votes in looks), active, _median([(ms, n) for ms, n, _ in looks]))


def _median(counted: list[tuple[int, int]]) -> int | None:
    """The lower median of values that are counted, in rising order."""
    half, passed = (sum(number for _, number in counted) + 1) // 2, 0
    for value, number in counted:
        passed += number
        if passed >= half:
            return value
    return None


def _person(name: str, speed: Speed | None, said: Iterable[tuple[str, str, str | None, int]]) -> Person:
    kinds, reasons = Counter[str](), Counter[str]()
    for actor, kind, reason, number in said:
        if actor == name:
            kinds[kind] += number
            if kind == Kind.REJECT and reason:
                reasons[reason] += number
    return Person(
        name,
        speed or _speed(()),
        {kind: kinds[kind] for kind in DECISIONS},
        {reason: reasons[reason] for reason in Reason},
    )
