"""Every number of the progress report against a slow count over the events, and the parsing of targets."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from statistics import median_low
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.record import Record

from curation_db.enums import Kind, Reason, Role, Stream
from curation_db.errors import RecordError
from curation_db.events.in_force import DECISIONS
from curation_db.events.state import FoldEvent, effective_events
from curation_db.review.decisions import PresentationContext
from curation_db.stats.agreement import agreement
from curation_db.stats.annotator_agreement import VoteAgreement, explain_kappa
from curation_db.stats.decision_speed import MAX_ACTIVE_MS
from curation_db.stats.distribution import SHOWN, spread
from curation_db.stats.judge_accuracy import AuditLabels
from curation_db.stats.progress import newest, read_progress
from curation_db.stats.targets import PRESETS, resolve_target
from curation_db.storage.store import create_store

PEOPLE = ("ana", "ben", "dan")
JUDGES = ("a", "b")
ADJUDICATOR = "dan"
_ITEMS = 4
_VOTES = ("accept", "reject", "unsure", "flip")

step = st.tuples(
    st.sampled_from(PEOPLE),
    st.integers(0, _ITEMS - 1),
    st.sampled_from(
        ["accept", "reject", "reject", "unsure", "skip", "flip", "adjudicate", "requeue", "undo", "redo", "edit"]
    ),
    st.sampled_from([Reason.PRESENT, Reason.PRESENT, Reason.SCOPE]),
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 90_000)),
)


class Oracle:
    """Slow reference counts over the events, one candidate at a time."""

    def __init__(self, record: Record) -> None:
        # fmt: off
        names = ("seq", "uid", "act", "candidate_id", "actor", "role", "stream", "blind", "kind", "verdict", "reason",
                 "undo_of", "elapsed_ms")
        # fmt: on
        rows = record.rows(f"SELECT {', '.join(names)} FROM event ORDER BY seq")
        self.events: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
        by_seq = {event["seq"]: event for event in self.events}
        fold_events = [
            FoldEvent(
                e["seq"],
                e["actor"],
                Role(e["role"]),
                Kind(e["kind"]),
                Kind(e["verdict"]) if e["verdict"] else None,
                e["undo_of"],
            )
            for e in self.events
        ]
        self.effective = [by_seq[event.seq] for event in effective_events(fold_events)]
        self.states = dict(record.rows("SELECT candidate_id, state FROM candidate_state"))
        self.verdicts = record.rows("SELECT candidate_id, judge, p FROM verdict WHERE question = 'present'")

    def in_force(self, name: str) -> list[dict[str, Any]]:
        """Return this annotator's decisions in force, at most one per candidate."""
        chosen = []
        for number in self.states:
            mine = [e for e in self.since_requeue(number) if e["actor"] == name and e["kind"] in list(DECISIONS)]
            edits = [e for e in self.effective if (e["candidate_id"], e["actor"], e["kind"]) == (number, name, "edit")]
            final = [e for e in mine if e["kind"] == "adjudicate"]
            votes = [e for e in [*edits, *mine] if e["kind"] not in ("skip", "adjudicate")]
            for rank in (final, votes, mine):
                if rank:
                    chosen.append(max(rank, key=lambda e: e["seq"]))
                    break
        return chosen

    def decisions(self, name: str) -> Counter[str]:
        return Counter(e["kind"] for e in self.in_force(name))

    def decision_times(self, name: str) -> list[int]:
        timed = [e for e in self.events if e["actor"] == name and e["kind"] in list(DECISIONS) and e["uid"] == e["act"]]
        return [e["elapsed_ms"] for e in timed if e["elapsed_ms"] is not None]

    def since_requeue(self, number: int) -> list[dict[str, Any]]:
        """Return the effective events of a candidate since the last requeue."""
        mine = [e for e in self.effective if e["candidate_id"] == number]
        last = max((at for at, e in enumerate(mine) if e["kind"] == "requeue"), default=-1)
        return mine[last + 1 :]

    def votes(self, number: int) -> list[str]:
        newest: dict[str, str] = {}
        for e in self.since_requeue(number):
            if e["kind"] in _VOTES:
                newest[e["actor"]] = e["verdict"] if e["kind"] == "flip" else e["kind"]
        return sorted(vote for vote in newest.values() if vote != "unsure")

    def decided_present(self, number: int) -> bool | None:
        """Return the label from the decisions in force; None: no label."""
        last = [e for name in PEOPLE for e in self.in_force(name) if e["candidate_id"] == number]
        if self.states[number] == "accepted":
            return False
        if self.states[number] == "rejected" and any(e["reason"] == "present" for e in last):
            return True
        return None

    def labels(self, number: int) -> dict[str, dict[str, Any]]:
        """Return the audit labels: each annotator's first blind vote in force."""
        first: dict[str, dict[str, Any]] = {}
        for e in self.effective:
            counts = e["stream"] == "audit" and e["blind"] and e["kind"] in ("accept", "reject")
            if e["candidate_id"] == number and counts:
                first.setdefault(e["actor"], e)
        return first

    def audited_present(self, number: int) -> bool | None:
        answers = {
            label["kind"] == "reject"
            for label in self.labels(number).values()
            if label["kind"] == "accept" or label["reason"] == "present"
        }
        return answers.pop() if len(answers) == 1 else None

    def table(self, judge: str, labels: AuditLabels) -> Counter[tuple[bool, bool]]:
        """Count candidates by (judge answers present, label is present)."""
        label_of = self.decided_present if labels is AuditLabels.DECIDED else self.audited_present
        cells = [(p >= 0.5, label_of(number)) for number, name, p in self.verdicts if name == judge and p is not None]
        return Counter((answer, present) for answer, present in cells if present is not None)


def play(record: Record, steps: Iterable[tuple[Any, ...]]) -> None:
    numbers = record.add(_ITEMS, overlap="2+1")
    for at, number in enumerate(numbers):
        record.judge(number, a=0.1 + 0.25 * at, b=0.5)
    sessions = {
        name: record.open_session(name, role=Role.ADJUDICATOR if name == ADJUDICATOR else Role.ANNOTATOR)
        for name in PEOPLE
    }
    for name, item, action, reason, audit, elapsed in steps:
        stream = Stream.AUDIT if audit else Stream.REVIEW
        shown = PresentationContext(stream, blind=audit, elapsed_ms=elapsed, leased=False)
        reviewer, number = sessions[name].reviewer, numbers[item]
        verdict = Kind.ACCEPT if elapsed is None or elapsed % 2 else Kind.REJECT
        why = reason if verdict is Kind.REJECT else None
        with suppress(RecordError, ValueError):
            if action in ("accept", "reject", "unsure", "skip"):
                reviewer.decide(number, Kind(action), reason=reason if action == "reject" else None, shown=shown)
            elif action == "flip":
                reviewer.flip(number, verdict, reason=why, shown=shown)
            elif action == "adjudicate":
                reviewer.adjudicate(number, verdict, reason=why, shown=shown)
            elif action == "requeue":
                reviewer.requeue(number)
            elif action == "edit":
                reviewer.edit(number, f"a man without a hat {item}", shown=shown)
            else:
                (reviewer.undo if action == "undo" else reviewer.redo)()


@settings(max_examples=examples(20), deadline=None)
@given(steps=st.lists(step, max_size=30))
def test_every_number_equals_the_count_over_the_events(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder, create_store(Path(folder) / "curation.db") as store:
        record = Record(store)
        play(record, steps)
        report, oracle = read_progress(store, resamples=10), Oracle(record)
    for person in report.people:
        expected = oracle.decisions(person.name)
        assert person.decisions == {kind: expected[kind] for kind in DECISIONS}
        rejections = [e for e in oracle.in_force(person.name) if "reject" in (e["verdict"], e["kind"])]
        reasons = Counter(e["reason"] for e in rejections if e["kind"] != "adjudicate")
        assert person.reasons == {reason: reasons[reason] for reason in Reason}
        times = oracle.decision_times(person.name)
        assert person.speed.timed_decisions == len(times)
        assert person.speed.active_ms == sum(min(ms, MAX_ACTIVE_MS) for ms in times)
        assert person.speed.median_ms == (median_low(times) if times else None)
        assert person.speed.votes == sum(
            e["kind"] in ("accept", "reject", "edit") and e["elapsed_ms"] is not None and e["uid"] == e["act"]
            for e in oracle.in_force(person.name)
        )
    numbers = sorted(oracle.states)
    for consensus, items in (
        (report.standing, [oracle.votes(n) for n in numbers]),
        (report.audit, [[e["kind"] for e in oracle.labels(n).values()] for n in numbers]),
    ):
        assert_same_agreement(consensus, [votes for votes in items if len(votes) > 1])
    for labels in AuditLabels:
        for judge in JUDGES:
            tables = [c for c in report.judges if (c.judge, c.labels) == (judge, labels)]
            table = oracle.table(judge, labels)
            if not tables:
                assert not table
                continue
            cells = (
                tables[0].absent_absent,
                tables[0].absent_present,
                tables[0].present_absent,
                tables[0].present_present,
            )
            assert cells == (table[False, False], table[False, True], table[True, False], table[True, True])
            assert tables[0].labelled == table.total()
    not_superseded = [state for state in oracle.states.values() if state != "superseded"]
    for balance in report.balances:
        assert (balance.proposed, balance.accepted) == (len(not_superseded), not_superseded.count("accepted"))


def assert_same_agreement(consensus: VoteAgreement, items: list[list[str]]) -> None:
    expected = agreement(items, ["accept", "reject"], resamples=10)
    assert (consensus.coefficients.items, consensus.coefficients.ratings) == (expected.items, expected.ratings)
    assert consensus.accepts == sum(votes.count("accept") for votes in items)
    for name in ("observed", "ac1", "alpha", "kappa"):
        ours, theirs = getattr(consensus.coefficients, name).estimate, getattr(expected, name).estimate
        assert ours == theirs or (math.isnan(ours) and math.isnan(theirs)), name


def test_hours_left_are_the_wanted_votes_at_the_speed_so_far(tmp_path: Path) -> None:
    with create_store(tmp_path / "curation.db") as store:
        record = Record(store)
        numbers = record.add(10)
        assert read_progress(store).work.hours_left is None, "there is no decision yet"
        before = newest(store)
        ana = record.open_session("ana").reviewer
        for number, ms in zip(numbers, (10_000, 20_000, 600_000), strict=False):
            ana.decide(number, Kind.ACCEPT, shown=PresentationContext(elapsed_ms=ms))
        ana.decide(numbers[3], Kind.SKIP, shown=PresentationContext(elapsed_ms=30_000))
        report = read_progress(store)
        assert newest(store) != before
    (person,) = report.people
    assert person.speed.active_ms == 10_000 + 20_000 + 60_000 + 30_000
    assert person.speed.per_hour == pytest.approx(120)
    assert person.speed.median_ms == 20_000
    assert report.work.wanted == 7
    assert report.work.hours_left == pytest.approx(7 / 90)


def test_a_value_named_none_is_not_a_missing_value(tmp_path: Path) -> None:
    with create_store(tmp_path / "curation.db") as store:
        record = Record(store)
        for number, concept in zip(record.add(4), ("(none)", "none", None, None), strict=True):
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE candidate SET concept = ? WHERE id = ?", (concept, number))
        (concepts,) = (each for each in read_progress(store).balances if each.trait == "concept")
    assert {part.value: part.proposed for part in concepts.parts} == {"(none)": 1, "none": 1, None: 2}
    assert concepts.distinct == 2


def test_a_distribution_lists_targets_first_and_sums_up_rare_values() -> None:
    counted = {f"thing {n:02}": (30 - n, 40) for n in range(SHOWN + 5)} | {"rare": (0, 1)}
    balance = spread("concept", counted, {"rare": 0.1, "missing": 0.2})
    assert [(part.value, part.target) for part in balance.parts[:2]] == [("rare", 0.1), ("missing", 0.2)]
    assert [part.value for part in balance.parts[2:]] == [f"thing {n:02}" for n in range(SHOWN)]
    assert balance.rest is not None
    assert (balance.rest.value, balance.rest.proposed) == ("5 others", 200)
    assert balance.accepted == sum(part.accepted for part in balance.parts) + balance.rest.accepted


@pytest.mark.parametrize(
    ("accepts", "message"), [(88, "misleads: with 88% accepts"), (12, "88% rejects"), (50, "mixed")]
)
def test_kappa_is_explained(accepts: int, message: str) -> None:
    items = [["accept", "accept"]] * accepts + [["reject", "reject"]] * (100 - accepts)
    votes = VoteAgreement(agreement(items, ["accept", "reject"], resamples=10), 2 * accepts)
    assert message in explain_kappa(votes)


def test_kappa_is_not_explained_without_votes() -> None:
    assert explain_kappa(VoteAgreement(agreement([], ["accept", "reject"]), 0)) == ""


def test_a_preset_is_the_distribution_of_the_benchmark() -> None:
    shares = resolve_target("cue", "negrefcocog")
    assert {value: round(share * 440) for value, share in shares.items()} == {
        "not": 199,
        "no": 143,
        "without": 97,
        "nothing": 1,
    }
    assert sum(PRESETS["negrefcocog"]["position"].values()) == pytest.approx(1)
    assert resolve_target("cue", "none") == {}


@pytest.mark.parametrize(
    ("trait", "setting", "message"),
    [
        ("colour", {}, "no target for 'colour'"),
        ("cue", "coco", "negrefcocog"),
        ("type", "negrefcocog", "one of: none"),
        ("cue", 3, "a table of shares"),
        ("cue", {"no": 1.2}, "not a share from 0 to 1"),
        ("cue", {"no": True}, "not a share from 0 to 1"),
        ("cue", {"no": 0.7, "not": 0.7}, "more than 1"),
        ("position", {"start": 0.5}, "beginning, end, middle"),
    ],
)
def test_invalid_targets_are_rejected(trait: str, setting: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_target(trait, setting)
