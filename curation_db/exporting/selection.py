"""Selection of an export: the candidates with a requested state AS OF an event, in a stable order.

States are folded from the events up to that event in one streaming pass, so later decisions, edits and undos have no
effect. A candidate without events that was inserted by then is `open` (`event_clock`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, bindparam, text

from curation_db.enums import BENCHMARK, Kind, Reason, Role, State, Stream
from curation_db.errors import HintedError
from curation_db.events import event_clock
from curation_db.events.event_clock import Arrival
from curation_db.events.hasty import HASTY_MS, is_hasty
from curation_db.events.history_cache import COLUMNS, History, HistoryEvent, fold_events, history_from_rows, overlap_sql
from curation_db.events.in_force import decisions_in_force
from curation_db.events.state import FoldEvent, Overlap, effective_events, fold, since_requeue
from curation_db.exporting.pseudonyms import names_of
from curation_db.storage.sqlite import IN_IDS, batches, json_array


class ExportRefused(HintedError):
    """The export cannot be written as requested; nothing was written."""


class NothingChosen(ExportRefused):
    """No pair is in the requested states."""


class NameTaken(ExportRefused):
    """An export of this name exists; frozen sets are never overwritten."""


BATCH = 1_000
"""Rows fetched at a time by their ids."""

_COLUMNS = ", ".join(f"e.{column}" for column in COLUMNS)
_MOMENT = itemgetter(COLUMNS.index("seq"), -1)
"""The columns seq and day of `_EVENTS`: a `Moment`."""
_NO_VOTES = frozenset({Kind.SKIP, Kind.EDIT})
_EVENTS = f"""
    SELECT {_COLUMNS}, e.blind, e.reason, e.stream, coalesce(e.elapsed_ms < {HASTY_MS}, 0) AS quick,
           {overlap_sql(at=":at")} AS overlap, substr(e.at, 1, 10) AS day
    FROM event e JOIN candidate c ON c.id = e.candidate_id WHERE e.seq <= :at {{more}} ORDER BY e.candidate_id, e.seq
"""
_TOUCHED = """AND e.candidate_id IN (SELECT candidate_id FROM event WHERE seq > :since
                UNION SELECT candidate_id FROM overlap_change WHERE since > :since)"""
_UNTOUCHED = text("""
    SELECT id FROM candidate c WHERE since <= :at
    AND NOT EXISTS (SELECT 1 FROM event e WHERE e.candidate_id = c.id AND e.seq <= :at)
""")
_COUNT = text("SELECT count(*) FROM candidate WHERE since <= :at")
_KEYS = text(f"""
    SELECT c.id, s.name, i.key, c.key AS candidate_key, t.key AS caption_key FROM candidate c
    JOIN image i ON i.id = c.image_id JOIN source s ON s.id = i.source_id LEFT JOIN caption t ON t.id = c.caption_id
    WHERE c.id {IN_IDS}
""")
_OF_IMAGES = text("""
    SELECT c.id FROM candidate c JOIN image i ON i.id = c.image_id JOIN source s ON s.id = i.source_id
    WHERE s.name = :source AND i.key IN :keys
""").bindparams(bindparam("keys", expanding=True))
_REVIEWS_OF_BENCHMARKS = text("""
    WITH RECURSIVE review(id) AS (
        SELECT id FROM candidate WHERE pipeline = :pipeline
        UNION SELECT c.id FROM candidate c JOIN review r ON c.parent_id = r.id
    ) SELECT id FROM review
""")
_DIGITS = re.compile("([0-9]+)")
_NUMBER = re.compile("0|-?[1-9][0-9]{0,17}")


_SWITCHES = ("edits", "hasty", "auto")
"""Fields of `ExportFilter` that are in the manifest where they are False."""


class ExportQuery(Protocol):
    """A search query that pairs must match; it is answered by the record of now (`search.export_query`)."""

    @property
    def text(self) -> str:
        """The query as it is written into the manifest, with pseudonyms of annotators."""

    def ids(self, connection: Connection) -> Set[int]:
        """Return the ids of the candidates that match."""


ParseQuery = Callable[[str], ExportQuery]


class Omission(StrEnum):
    """Why a candidate is not in an export; of several reasons the first one counts."""

    STATE = "other_state"
    EDIT = "edited"
    BENCHMARK_REVIEW = "review_of_a_benchmark"
    BENCHMARK_IMAGE = "benchmark_image"
    HASTY = "hasty"
    POLICY = "policy_only"
    REASON = "other_reject_reason"
    DECIDER = "other_decider"
    VOTES = "too_few_votes"
    AGREEMENT = "too_little_agreement"
    QUERY = "not_in_query"


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """The filter of an export; a further filter is one more field."""

    states: tuple[State, ...] = (State.ACCEPTED,)
    edits: bool = True
    """Include candidates that annotators wrote by editing; False: imported and generated texts only."""
    hasty: bool = True
    """Include pairs with a hasty decision in effect (`events.hasty`)."""
    reasons: tuple[Reason, ...] = ()
    """Reasons of which a rejected pair must have one; empty: rejected pairs with any reason or without one."""
    auto: bool = True
    """Include pairs that a policy accepted and no person decided on."""
    held_out: frozenset[tuple[str, str]] = frozenset()
    """Images, as (source, image key), whose pairs are left out because benchmarks of the workspace use them."""
    benchmarks: bool = False
    """Include pairs that review the judge of a benchmark (pipeline `enums.BENCHMARK`), and their edits."""
    deciders: tuple[str, ...] = ()
    """Annotators, by pseudonym or name, and policies of which one must be a decider; empty: any. `resolved` gives the
    annotators their names, which `holds` compares."""
    min_votes: int = 0
    """Accepts and rejects in force that a pair must have at least."""
    min_agreement: float = 0.0
    """Share of the accepts and rejects in force that must agree with the state. A pair without any has none."""
    query: ExportQuery | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the form for the manifest; it does not depend on the order of `states` and `reasons`."""
        left_out = {name: False for name in _SWITCHES if not getattr(self, name)}
        reasons = {"reasons": sorted(self.reasons)} if self.reasons else {}
        held_out = {"held_out": [list(image) for image in sorted(self.held_out)]} if self.held_out else {}
        benchmarks = {"benchmarks": True} if self.benchmarks else {}
        votes = {name: getattr(self, name) for name in ("min_votes", "min_agreement") if getattr(self, name)}
        deciders = {"deciders": sorted(self.deciders)} if self.deciders else {}
        query = {"query": self.query.text} if self.query is not None else {}
        more = {**reasons, **left_out, **deciders, **votes, **query, **held_out, **benchmarks}
        return {"states": sorted(self.states), **more}

    @classmethod
    def from_dict(cls, selection: Mapping[str, Any], parse_query: ParseQuery | None = None) -> ExportFilter:
        """Return the filter of a manifest.

        Raises:
            KeyError, TypeError, ValueError: it is damaged, or a newer negwb wrote it, or it has a query and
                `parse_query` is None.
        """
        known = {"states", "reasons", "held_out", "benchmarks", "deciders", "min_votes", "min_agreement", *_SWITCHES}
        if parse_query is not None:
            known.add("query")
        if unknown := sorted(selection.keys() - known):
            raise ValueError(f"unknown selection {unknown[0]!r}")
        query = selection.get("query")
        return cls(
            tuple(State(word) for word in selection["states"]),
            reasons=tuple(Reason(word) for word in selection.get("reasons", ())),
            held_out=frozenset((str(source), str(key)) for source, key in selection.get("held_out", ())),
            benchmarks=bool(selection.get("benchmarks", False)),
            deciders=tuple(str(name) for name in selection.get("deciders", ())),
            min_votes=int(selection.get("min_votes", 0)),
            min_agreement=float(selection.get("min_agreement", 0.0)),
            query=None if query is None or parse_query is None else parse_query(str(query)),
            **{name: bool(selection.get(name, True)) for name in _SWITCHES},
        )

    def holds(self, outcome: DecidedCandidate) -> bool:
        """Return whether a candidate with this outcome is selected; see also `left_out` and `query`."""
        return self.omission(outcome) is None

    def omission(self, outcome: DecidedCandidate) -> Omission | None:
        """Return why a candidate with this outcome is not selected; None: it is."""
        if outcome.state not in self.states:
            return Omission.STATE
        if outcome.hasty and not self.hasty:
            return Omission.HASTY
        if outcome.auto and not self.auto:
            return Omission.POLICY
        return self._omission_by_votes(outcome)

    def _omission_by_votes(self, outcome: DecidedCandidate) -> Omission | None:
        if outcome.state == State.REJECTED and self.reasons and set(outcome.reasons).isdisjoint(self.reasons):
            return Omission.REASON
        if self.deciders and set(outcome.deciders).isdisjoint(self.deciders):
            return Omission.DECIDER
        if self.min_votes or self.min_agreement:
            votes = outcome.accepts + outcome.rejects
            if votes < self.min_votes:
                return Omission.VOTES
            agreeing = outcome.rejects if outcome.state == State.REJECTED else outcome.accepts
            if self.min_agreement and (not votes or agreeing / votes < self.min_agreement):
                return Omission.AGREEMENT
        return None

    def resolved(self, connection: Connection) -> ExportFilter:
        """Return the filter with the names of the annotators whose pseudonyms are in `deciders`.

        Raises:
            RecordError: the record has no secret for pseudonyms.
        """
        return replace(self, deciders=tuple(names_of(connection, self.deciders))) if self.deciders else self

    def depends_on(self) -> tuple[Arrival, ...]:
        """Return the arrivals without an event that may change the selection; new candidates only affect `open`."""
        return tuple(kind for kind in Arrival if kind is not Arrival.CANDIDATES or State.OPEN in self.states)


class CountedVote(NamedTuple):
    """Decision in force of a person or policy, without what differs between candidates with equal decisions."""

    position: int
    """Position (from 1) of its event in the candidate's history."""
    actor: str
    is_person: bool
    kind: str
    verdict: str
    """accept, reject or unsure."""
    reason: str | None
    stream: str | None
    blind: bool


Moment = tuple[int, str]
"""When a vote was cast: the sequence number of its event, and the UTC date, as in 2026-05-31."""


@dataclass(frozen=True, slots=True)
class DecidedCandidate:
    """The outcome of a candidate's events, as far as an export contains it."""

    state: State = State.OPEN
    accepts: int = 0
    rejects: int = 0
    deciders: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    stream: str | None = None
    hasty: bool = False
    """Whether a hasty decision is in effect."""
    auto: bool = False
    """Whether a policy accepted it and no person decided."""
    adjudicated: bool = False
    """Whether an adjudication is in effect."""
    votes: tuple[CountedVote, ...] = ()
    """All votes in force, also those that do not determine the state; no skips, edits and answers to gold items."""
    by_people: bool = True
    """Whether `deciders` are people, not policies."""


_NO_OUTCOME: tuple[DecidedCandidate | None, Omission | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Chosen:
    event_seq: int
    ids: list[int]
    """Candidate ids in the order of the export."""
    outcomes: dict[int, DecidedCandidate]
    sources: tuple[str, ...]
    largest_image_id: int
    """The largest number among the image keys; 0: no key is a number."""
    largest_caption_id: int
    moments: Mapping[int, tuple[Moment, ...]] = field(default_factory=dict)
    """By candidate id: the moments of `DecidedCandidate.votes`."""
    omitted: Mapping[str, int] = field(default_factory=dict)
    """Numbers of the other candidates as of the event, by `Omission`."""


def choose(connection: Connection, selection: ExportFilter, *, at: int | None = None) -> Chosen:
    """Return the pairs that match `selection` as of the event `at` (None: now).

    Raises:
        ExportRefused: there is no such event, or a restore replaced it.
    """
    if at is not None and not event_clock.is_exportable(connection, at):
        raise _no_such_event(connection, at)
    until = event_clock.current_seq(connection, selection.depends_on()) if at is None else at
    selection = selection.resolved(connection)
    ignored = _ignored(connection, selection)
    matching = None if selection.query is None else selection.query.ids(connection)
    omitted: Counter[str] = Counter()
    known: dict[int, tuple[DecidedCandidate | None, Omission | None]] = {}
    """By the identity of an outcome: equal decisions mostly share one."""
    outcomes: dict[int, DecidedCandidate] = {}
    moments: dict[int, tuple[Moment, ...]] = {}
    for number, outcome, rows in _with_untouched(connection, selection, until):
        if known.get(id(outcome), _NO_OUTCOME)[0] is not outcome:
            known[id(outcome)] = outcome, selection.omission(outcome)
        why = known[id(outcome)][1]
        if why is not Omission.STATE:
            why = ignored.get(number, why)
        if why is None and matching is not None and number not in matching:
            why = Omission.QUERY
        if why is None:
            outcomes[number] = outcome
            moments[number] = tuple([_MOMENT(rows[vote.position - 1]) for vote in outcome.votes])
        elif why is not Omission.STATE:
            omitted[why] += 1
    every = connection.execute(_COUNT, {"at": until}).scalar_one()
    omitted[Omission.STATE] = every - len(outcomes) - omitted.total()
    listed = {str(why): omitted[why] for why in Omission if omitted[why]}
    return replace(_in_order(connection, until, outcomes), moments=moments, omitted=listed)


def _with_untouched(
    connection: Connection, selection: ExportFilter, at: int
) -> Iterator[tuple[int, DecidedCandidate, Sequence[Any]]]:
    """Yield what `_decided` does, and the candidates without events if the open ones are selected."""
    yield from _decided(connection, at)
    if State.OPEN in selection.states:
        untouched = DecidedCandidate()
        yield from ((row.id, untouched, ()) for row in connection.execute(_UNTOUCHED, {"at": at}))


def _no_such_event(connection: Connection, at: int) -> ExportRefused:
    gap = event_clock.gap_at(connection, at)
    if gap is not None:
        span = f"event {gap.first}" if gap.first == gap.last else f"events {gap.first} to {gap.last}"
        return ExportRefused(
            f"event {at} belongs to a history that a restore replaced ({span}; {gap.at[:16].replace('T', ' ')} UTC)",
            hint=f"take an event before {gap.first} or after {gap.last}; the backup made before that restore still has"
            " the replaced history: negwb backup --list",
        )
    newest = max(event_clock.newest_seq(connection), 0)
    if at < newest:
        return ExportRefused(f"event {at} is missing from the record", hint="see what is lost: negwb doctor")
    return ExportRefused(f"there is no event {at}", hint=f"the newest is {newest}; see: negwb status")


def left_out(connection: Connection, selection: ExportFilter) -> set[int]:
    """Return the ids of candidates that `selection` leaves out whatever their events are: edits, held-out images,
    reviews of a benchmark's judge."""
    return set(_ignored(connection, selection))


def _ignored(connection: Connection, selection: ExportFilter) -> dict[int, Omission]:
    ignored: dict[int, Omission] = {}
    by_source: dict[str, list[str]] = {}
    for source, key in sorted(selection.held_out):
        by_source.setdefault(source, []).append(key)
    for source, keys in by_source.items():
        for batch in batches(keys, BATCH):
            found = connection.execute(_OF_IMAGES, {"source": source, "keys": batch}).scalars()
            ignored.update(dict.fromkeys(found, Omission.BENCHMARK_IMAGE))
    if not selection.benchmarks:
        found = connection.execute(_REVIEWS_OF_BENCHMARKS, {"pipeline": BENCHMARK}).scalars()
        ignored.update(dict.fromkeys(found, Omission.BENCHMARK_REVIEW))
    if not selection.edits:
        found = connection.execute(text("SELECT id FROM candidate WHERE parent_id IS NOT NULL")).scalars()
        ignored.update(dict.fromkeys(found, Omission.EDIT))
    return ignored


def outcomes_at(connection: Connection, at: int, *, since: int | None = None) -> Iterator[tuple[int, DecidedCandidate]]:
    """Yield every candidate with events up to `at`, and the outcome of these events.

    With `since`, only candidates with events or a change of overlap after that event.
    """
    for candidate_id, outcome, _ in _decided(connection, at, since=since):
        yield candidate_id, outcome


def _decided(
    connection: Connection, at: int, *, since: int | None = None
) -> Iterator[tuple[int, DecidedCandidate, Sequence[Any]]]:
    """Yield what `outcomes_at` does, with the rows of the events."""
    statement = text(_EVENTS.format(more="" if since is None else _TOUCHED))
    values = {"at": at} if since is None else {"at": at, "since": since}
    result = connection.execute(statement, values, execution_options={"yield_per": BATCH})
    for candidate_id, group in groupby(chain.from_iterable(result.partitions(BATCH)), key=itemgetter(0)):
        rows = list(group)
        yield candidate_id, _outcome(history_from_rows(rows), rows[0].overlap), rows


@lru_cache(maxsize=4_096)
def _outcome(history: History, overlap: str) -> DecidedCandidate:
    events = fold_events(history)
    status = fold(events, Overlap.parse(overlap))
    deciding = [history[event.seq - 1] for event in since_requeue(effective_events(events)) if not event.gold]
    deciders = _deciders(deciding, status.voters)
    decisive = [event for event in deciding if event.actor in deciders]
    counting = [history[event.seq - 1] for event in decisions_in_force(events) if not event.gold]
    return DecidedCandidate(
        status.state,
        status.accepts,
        status.rejects,
        tuple(sorted(deciders)),
        tuple(sorted({event.reason for event in counting if event.actor in deciders and event.reason})),
        _stream(decisive),
        is_hasty(events, {number for number, event in enumerate(history, 1) if event.quick}),
        status.state is State.ACCEPTED and {event.role for event in decisive} == {Role.POLICY},
        any(event.kind == Kind.ADJUDICATE for event in decisive),
        _votes(events, history),
        all(event.role != Role.POLICY for event in decisive),
    )


def _votes(events: Sequence[FoldEvent], history: History) -> tuple[CountedVote, ...]:
    votes = []
    for event in decisions_in_force(events):
        if event.gold or event.kind in _NO_VOTES:
            continue
        row = history[event.seq - 1]
        verdict = event.verdict or event.kind
        votes.append(
            CountedVote(
                event.seq,
                row.actor,
                row.role != Role.POLICY,
                str(event.kind),
                str(verdict),
                row.reason,
                row.stream,
                bool(row.blind),
            )
        )
    return tuple(votes)


def _deciders(deciding: Iterable[HistoryEvent], voters: frozenset[str]) -> frozenset[str]:
    """Return the last adjudicator, else the voters, else the policies that accept."""
    final = [event.actor for event in deciding if event.kind == Kind.ADJUDICATE]
    if final:
        return frozenset(final[-1:])
    newest = {event.actor: event.kind for event in deciding if event.role == Role.POLICY}
    return voters or frozenset(actor for actor, kind in newest.items() if kind == Kind.ACCEPT)


def _stream(events: list[HistoryEvent]) -> str | None:
    if not events:
        return None
    return str(Stream.AUDIT if any(event.stream == Stream.AUDIT for event in events) else Stream.REVIEW)


def _in_order(connection: Connection, event_seq: int, outcomes: dict[int, DecidedCandidate]) -> Chosen:
    """Sort by source name, image key and candidate key, with numbers in keys compared by value."""
    sortable: list[tuple[object, int]] = []
    sources: set[str] = set()
    image_id = caption_id = 0
    for part in batches(outcomes, BATCH):
        for number, source, image, key, caption in connection.execute(_KEYS, {"ids": json_array(part)}).all():
            sortable.append(((source, _natural_image(image), image, natural_sort_key(key), key), number))
            sources.add(source)
            image_id = max(image_id, _image_number(image) or 0)
            caption_id = max(caption_id, as_number(caption or key) or 0)
    sortable.sort()
    ids = [number for _, number in sortable]
    return Chosen(event_seq, ids, outcomes, tuple(sorted(sources)), image_id, caption_id)


def natural_sort_key(key: str) -> list[object]:
    """Return a sort key that compares numbers in `key` by value; digits stay strings, so long ones cost nothing."""
    parts: list[object] = list(_DIGITS.split(key))
    parts[1::2] = [(len(digits), digits) for digits in [str(part).lstrip("0") for part in parts[1::2]]]
    return parts


_natural_image = lru_cache(maxsize=256)(natural_sort_key)  # the pairs of an image are mostly adjacent


def as_number(key: str) -> int | None:
    """Return `key` as an integer where it is the canonical form of one; otherwise None."""
    # "007" stays a string: as a number it would be read back as another key
    return int(key) if _NUMBER.fullmatch(key) else None


_image_number = lru_cache(maxsize=256)(as_number)
