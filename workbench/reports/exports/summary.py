"""Summary of a frozen export: what the record proves about it as of its event. Reads only.

The dataset card, the Croissant metadata and the methods paragraph are written from this one object, so their numbers
agree. Annotators have the pseudonyms of the export (`curation_db.exporting.pseudonyms`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text

from curation_db.enums import BENCHMARK, Kind, PersonRole, Role, Stream
from curation_db.events.history_cache import COLUMNS, History, fold_events, history_from_rows
from curation_db.events.state import effective_events, votes_of
from curation_db.exporting.blind_gate import GateResult, check_gate, hard_negatives
from curation_db.exporting.manifest import ExportItem, Manifest, read_items, read_manifest
from curation_db.exporting.pairs import licenses_at
from curation_db.exporting.pseudonyms import read_pseudonyms
from curation_db.stats.agreement import Agreement, agreement
from curation_db.stats.annotator_agreement import VOTES
from curation_db.stats.intervals import RESAMPLES
from curation_db.storage.sqlite import IN_IDS, batches, json_array
from curation_db.trust.blind_classifier import LIMIT, Progress
from curation_db.trust.policy import stored_policies

_AT_ONCE: Final = 1_000
_PEOPLE: Final = frozenset(str(role) for role in PersonRole)
_LABELS: Final = frozenset({Kind.ACCEPT, Kind.REJECT, Kind.UNSURE})
_CANDIDATES = text("""
    SELECT c.id, c.image_id, s.name, c.key, c.audit, c.audit_rate FROM candidate c JOIN source s ON s.id = c.source_id
    WHERE c.since <= :at AND c.pipeline != :benchmark ORDER BY c.id
""")
_EVENTS = text(f"""
    SELECT {", ".join(COLUMNS)}, blind, reason, stream, at FROM event WHERE seq <= :at ORDER BY candidate_id, seq
""")
_VERDICTS = text(f"""
    SELECT judge, model, prompt_version, question, coalesce(method, '') AS method, max(simulated) AS simulated,
           count(*) AS verdicts FROM verdict WHERE candidate_id {IN_IDS} GROUP BY 1, 2, 3, 4, 5
""")


@dataclass(frozen=True, slots=True)
class AnnotatorVotes:
    """Votes in force of one annotator."""

    name: str
    """A pseudonym, unless names were asked for."""
    accepts: int
    rejects: int
    unsures: int

    @property
    def votes(self) -> int:
        return self.accepts + self.rejects + self.unsures


@dataclass(frozen=True, slots=True)
class JudgeUse:
    """Verdicts of one judge on the pairs of the export."""

    judge: str
    model: str
    prompt_version: str
    question: str
    method: str
    """Source of the probability (`enums.Method`); "" if it is not known."""
    simulated: bool
    verdicts: int


@dataclass(frozen=True, slots=True)
class PolicyUse:
    """Declared policy with pairs in the export that it accepted and no person decided."""

    actor: str
    pairs: int
    claim: str
    """`enums.Claim`; "" if the record has no declaration of it."""
    precision: float | None
    confidence: float | None
    looks: tuple[int, ...] | None
    """Declared looks; None: running audit."""


@dataclass(frozen=True, slots=True)
class AuditUse:
    """The random audit set, which people label blind."""

    rates: tuple[float, ...]
    """The different sampling rates of the candidates, rising."""
    candidates: int
    labelled: int
    agreement: Agreement
    """Over blind labels, each annotator's first."""


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """Data of a frozen export and of the record that it was selected from, as of the export's event."""

    manifest: Manifest
    annotators: tuple[AnnotatorVotes, ...]
    named: bool
    """Whether `annotators` have their names instead of pseudonyms."""
    items_name_annotators: bool
    """Whether the field `deciders` of items.jsonl contains names of annotators."""
    made_with: tuple[Mapping[str, Any], ...]
    """As `ManifestCounts.made_with`; an editor's name in place of a generator is a pseudonym unless `named`."""
    first_event_at: str | None
    last_event_at: str | None
    candidates: int
    """Candidates of the record, without those that review the judge of a benchmark."""
    candidate_images: int
    voted: int
    """Candidates with a vote in force."""
    adjudicated: int
    """Candidates with an adjudication in force."""
    agreement: Agreement
    """Over the votes in force on candidates with two or more of them."""
    audit: AuditUse
    votes_per_pair: Mapping[int, int]
    """Number of accepts and rejects -> pairs of the export, rising."""
    top_concepts: tuple[tuple[str, int], ...]
    """The most frequent negated concepts with their pairs, at most ten."""
    without_concept: int
    judges: tuple[JudgeUse, ...]
    policies: tuple[PolicyUse, ...]
    declared_policies: int
    """Policies that the record declares, used or not."""
    licenses: tuple[Any, ...]
    """The `licenses` entries of the sources, as imported."""
    optional_fields: frozenset[str]
    """Fields of items.jsonl that only some exports have."""
    gate: GateResult | None
    """Of the false captions of the export; None: it has true captions only."""


def summarize(
    connection: Connection,
    folder: Path,
    *,
    names: bool = False,
    resamples: int = RESAMPLES,
    blind_limit: float = LIMIT,
    progress: Progress = lambda done, total: None,
) -> ExportSummary:
    """Read the export in `folder` and the record that it comes from.

    Args:
        names: Annotators have their names instead of pseudonyms.
        blind_limit: Limit of the blind gate.
        progress: Called while the gate is computed.

    Raises:
        ManifestError: the export is not readable.
        RecordError: the record stores damaged licenses, or has no secret for pseudonyms.
    """
    manifest = read_manifest(folder)
    items = _ItemCounter()
    for item in read_items(folder):
        items.add(item)
    negatives = hard_negatives(read_items(folder))
    candidates = _Candidates(connection, manifest.event_seq, items.keys)
    votes = _VoteCounter(candidates)
    for history, times in _histories(connection, manifest.event_seq, candidates):
        votes.add(*history, times)
    people = read_pseudonyms(connection)
    shown = {actor: actor if names else people.of(actor) for actor in votes.people}
    editors = {written: shown[actor] for actor in votes.people for written in (actor, people.of(actor))}
    declared = {policy.actor: policy for policy in stored_policies(connection)}
    policies = []
    for actor, pairs in sorted(items.deciders.items()):
        if actor in votes.policies:
            policy = declared.get(actor)
            policies.append(
                PolicyUse(actor, pairs, str(policy.claim), policy.target, policy.confidence, policy.looks)
                if policy
                else PolicyUse(actor, pairs, "", None, None, None)
            )
    return ExportSummary(
        manifest=manifest,
        annotators=tuple(
            AnnotatorVotes(name, *(votes.by_actor[actor][kind] for kind in (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE)))
            for name, actor in sorted((name, actor) for actor, name in shown.items())
            if votes.by_actor[actor].total()
        ),
        named=names,
        items_name_annotators=not votes.people.isdisjoint(items.deciders),
        made_with=tuple(
            {**each, "generator": editors.get(each["generator"], each["generator"])}
            for each in manifest.counts.made_with
        ),
        first_event_at=votes.first_at,
        last_event_at=votes.last_at,
        candidates=len(candidates.image_of),
        candidate_images=len(set(candidates.image_of.values())),
        voted=votes.voted,
        adjudicated=votes.adjudicated,
        agreement=agreement(votes.rated, VOTES, votes.rated_images, resamples=resamples),
        audit=AuditUse(
            tuple(sorted(candidates.rates)),
            len(candidates.audit),
            votes.audit_labelled,
            agreement(votes.audit_rated, VOTES, votes.audit_images, resamples=resamples),
        ),
        votes_per_pair=dict(sorted(items.votes.items())),
        top_concepts=tuple(sorted(items.concepts.items(), key=lambda each: (-each[1], each[0]))[:10]),
        without_concept=items.without_concept,
        judges=_judges(connection, candidates.exported),
        policies=tuple(policies),
        declared_policies=len(declared),
        licenses=licenses_at(connection, manifest.event_seq, manifest.counts.by_source),
        optional_fields=frozenset(items.optional),
        gate=check_gate(negatives, blind_limit, progress=progress) if negatives.pairs else None,
    )


class _ItemCounter:
    """Counts of the items of an export."""

    def __init__(self) -> None:
        self.keys: set[tuple[str, str]] = set()
        self.deciders: Counter[str] = Counter()
        self.votes: Counter[int] = Counter()
        self.concepts: Counter[str] = Counter()
        self.without_concept = 0
        self.optional: set[str] = set()

    def add(self, item: ExportItem) -> None:
        self.keys.add((item.source, item.key))
        self.deciders.update(item.deciders)
        self.votes[item.accepts + item.rejects] += 1
        if item.concept is None:
            self.without_concept += 1
        else:
            self.concepts[item.concept] += 1
        self.optional |= {name for name in ("url", "triplet") if getattr(item, name) is not None}


class _Candidates:
    """The candidates of the record as of an event."""

    def __init__(self, connection: Connection, at: int, exported: set[tuple[str, str]]) -> None:
        self.image_of: dict[int, int] = {}
        self.audit: set[int] = set()
        self.rates: set[float] = set()
        self.exported: list[int] = []
        for row in connection.execute(_CANDIDATES, {"at": at, "benchmark": BENCHMARK}):
            self.image_of[row.id] = row.image_id
            self.rates.add(row.audit_rate)
            if row.audit:
                self.audit.add(row.id)
            if (row.name, row.key) in exported:
                self.exported.append(row.id)


def _histories(
    connection: Connection, at: int, candidates: _Candidates
) -> Iterator[tuple[tuple[int, History], Sequence[tuple[str, str, str]]]]:
    """Yield (id, history) of each candidate with events, and (actor, role, time) of its events."""
    result = connection.execute(_EVENTS, {"at": at}, execution_options={"yield_per": _AT_ONCE})
    for number, group in groupby(chain.from_iterable(result.partitions()), key=itemgetter(0)):
        rows = list(group)
        if number in candidates.image_of:
            yield (number, history_from_rows(rows)), [(row.actor, row.role, row.at) for row in rows]


@dataclass(frozen=True, slots=True)
class _Counted:
    votes: tuple[tuple[str, Kind], ...]
    labels: tuple[Kind, ...]
    """Audit labels: each person's first blind answer in force."""
    adjudicated: bool


@lru_cache(maxsize=4_096)
def _counted(history: History) -> _Counted:
    effective = [event for event in effective_events(fold_events(history)) if not event.gold]
    labels: dict[str, Kind] = {}
    for event in effective:
        row = history[event.seq - 1]
        if row.blind and row.stream == Stream.AUDIT and row.role in _PEOPLE and event.kind in _LABELS:
            labels.setdefault(event.actor, event.kind)
    votes = tuple(sorted(votes_of(effective).items()))
    return _Counted(votes, tuple(labels.values()), any(event.kind is Kind.ADJUDICATE for event in effective))


class _VoteCounter:
    """Counts of the events of all candidates."""

    def __init__(self, candidates: _Candidates) -> None:
        self._candidates = candidates
        self.people: set[str] = set()
        self.policies: set[str] = set()
        self.by_actor: defaultdict[str, Counter[Kind]] = defaultdict(Counter)
        self.first_at: str | None = None
        self.last_at: str | None = None
        self.voted = self.adjudicated = self.audit_labelled = 0
        self.rated: list[list[Kind]] = []
        self.rated_images: list[int] = []
        self.audit_rated: list[list[Kind]] = []
        self.audit_images: list[int] = []

    def add(self, candidate_id: int, history: History, events: Iterable[tuple[str, str, str]]) -> None:
        for actor, role, at in events:
            if role in _PEOPLE:
                self.people.add(actor)
            elif role == Role.POLICY:
                self.policies.add(actor)
            self.first_at, self.last_at = min(at, self.first_at or at), max(at, self.last_at or at)
        counted, image = _counted(history), self._candidates.image_of[candidate_id]
        for actor, vote in counted.votes:
            self.by_actor[actor][vote] += 1
        self.voted += bool(counted.votes)
        self.adjudicated += counted.adjudicated
        ratings: list[Kind] = [vote for _, vote in counted.votes if vote in VOTES]
        if len(ratings) >= 2:
            self.rated.append(ratings)
            self.rated_images.append(image)
        if candidate_id in self._candidates.audit and counted.labels:
            self.audit_labelled += 1
            labels: list[Kind] = [label for label in counted.labels if label in VOTES]
            if len(labels) >= 2:
                self.audit_rated.append(labels)
                self.audit_images.append(image)


def _judges(connection: Connection, ids: Sequence[int]) -> tuple[JudgeUse, ...]:
    verdicts: Counter[tuple[str, str, str, str, str]] = Counter()
    simulated: set[tuple[str, str, str, str, str]] = set()
    for part in batches(ids, _AT_ONCE):
        for row in connection.execute(_VERDICTS, {"ids": json_array(part)}):
            key = (row.judge, row.model, row.prompt_version, row.question, row.method)
            verdicts[key] += row.verdicts
            if row.simulated:
                simulated.add(key)
    return tuple(JudgeUse(*key, key in simulated, count) for key, count in sorted(verdicts.items()))


def selection_conditions(selection: Mapping[str, Any]) -> list[str]:
    """Return the conditions of a manifest's selection, one phrase each."""
    phrases = [f"state {' or '.join(selection.get('states', ()))}"]
    if reasons := selection.get("reasons"):
        phrases.append(f"of the rejected ones those with the reason {' or '.join(reasons)}")
    left_out = {
        "edits": "without texts that annotators edited",
        "hasty": "without hasty decisions",
        "auto": "without pairs that only a policy accepted",
    }
    phrases += [phrase for name, phrase in left_out.items() if selection.get(name) is False]
    if deciders := selection.get("deciders"):
        phrases.append(f"decided by {' or '.join(deciders)}")
    if votes := selection.get("min_votes"):
        phrases.append(f"with {votes:,} or more accepts and rejects")
    if agreement_share := selection.get("min_agreement"):
        phrases.append(f"with at least {agreement_share:.0%} of the accepts and rejects in favour of the state")
    if query := selection.get("query"):
        phrases.append(f'that match the query "{query}"')
    if held_out := selection.get("held_out"):
        phrases.append(f"without {len(held_out):,} images of benchmarks")
    if selection.get("benchmarks"):
        phrases.append("with pairs that review the judge of a benchmark")
    known = {
        "states",
        "reasons",
        "held_out",
        "benchmarks",
        "deciders",
        "min_votes",
        "min_agreement",
        "query",
        *left_out,
    }
    return phrases + [f"{name}: {selection[name]}" for name in sorted(selection.keys() - known)]
