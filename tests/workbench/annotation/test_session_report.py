"""Tests of the summary of a session: what counts, and how it is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.curating import SIZE, current_id, lines, running, until, wait_for_card
from support.monotonic import MonotonicClock
from support.workspaces import press, settled
from typer.testing import CliRunner

from curation_db.enums import Kind, Reason, Role
from curation_db.queue.gold import GoldScore, KnownAnswer
from curation_db.review.bulk import decide_in_bulk
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.review.gold_marking import mark
from curation_db.search.session_work import SessionWork, session_work
from curation_db.stats.agreement import agreement
from curation_db.stats.decision_speed import AnnotationSpeed
from curation_db.stats.probes import Consistency
from workbench.annotation.session import AnnotationSession
from workbench.annotation.session_report import duration, report_lines
from workbench.cli import app as negwb
from workbench.tui.app import NegwbApp
from workbench.tui.screens.queue_end import QueueEndScreen

SessionOpener = Callable[..., AnnotationSession]


def decide(session: AnnotationSession, clock: MonotonicClock, seconds: float, kind: Kind = Kind.ACCEPT) -> None:
    wait_for_card(session)
    clock.advance(seconds)
    session.submit(kind, Reason.SCOPE if kind is Kind.REJECT else None)


def test_the_work_of_a_session(make_workspace: Any, open_session: SessionOpener, join: Any) -> None:
    workspace, clock = make_workspace(12, overlap="2"), MonotonicClock()
    ben = join(workspace, "ben")
    for number, kind in ((1, Kind.ACCEPT), (2, Kind.ACCEPT), (3, Kind.REJECT), (4, Kind.UNSURE), (9, Kind.ACCEPT)):
        ben.decide(number, kind, reason=Reason.SCOPE if kind is Kind.REJECT else None)
    earlier = open_session(workspace, clock=clock)
    decide(earlier, clock, 5)  # candidate 1, in another session
    earlier.close()
    session = open_session(workspace, clock=clock, role=Role.ADJUDICATOR)
    decide(session, clock, 4)  # 2: as ben
    decide(session, clock, 6)  # 3: not as ben
    decide(session, clock, 500)  # 4: ben is unsure; a break
    decide(session, clock, 2, Kind.REJECT)
    session.undo()  # its time counts, the decision does not
    decide(session, clock, 3, Kind.SKIP)
    decide_in_bulk(session.store, session.actor, [8, 9], Kind.ACCEPT)  # 9: as ben
    DecisionWriter(session.store, session.actor).adjudicate(
        3, Kind.REJECT, reason=Reason.PRESENT, shown=PresentationContext(leased=False, elapsed_ms=7_000)
    )
    session.refresh()
    work = session.summary().work
    assert work.decisions == {Kind.ACCEPT: 4, Kind.REJECT: 1, Kind.SKIP: 1}
    assert work.settled == 1
    assert (work.speed.timed_decisions, work.speed.active_ms) == (6, 82_000)
    assert work.speed.median_ms == 4_000
    assert work.agreement is not None
    assert (work.agreement.items, work.agreement.observed.estimate) == (2, 1.0), "the settlement is no vote"
    with session.store.read() as connection:
        before = session_work(connection, "ana", earlier.actor.session)
    assert (before.decisions, before.speed.active_ms) == ({Kind.ACCEPT: 1}, 5_000)
    session.close()
    done = CliRunner().invoke(negwb, ["-w", str(workspace.root), "progress", "--json"])
    sessions = json.loads(done.output, parse_constant=pytest.fail)["sessions"]
    assert [each["name"] for each in sessions] == ["ana", "ben"]
    assert sessions[0]["decisions"] == {"accept": 4, "reject": 1, "skip": 1}
    assert sessions[0]["speed"]["per_minute"] == pytest.approx(6 / 82 * 60)
    assert sessions[0]["agreement"]["items"] == 2
    assert sessions[1]["agreement"]["kappa"]["estimate"] is None
    assert sessions[1]["gold"] == {"right": 0, "answers": 0, "share": None}


def test_only_first_answers_to_gold_items_of_the_session_count(
    make_workspace: Any, open_session: SessionOpener
) -> None:
    workspace = make_workspace(5)
    with workspace.store.write() as connection:
        mark(connection, dict.fromkeys(workspace.ids[:3], KnownAnswer(Kind.ACCEPT)), "test")
    session = open_session(workspace)
    session.open(1)
    session.submit(Kind.REJECT, Reason.SCOPE)
    session.undo()
    assert current_id(session) == 1
    session.submit(Kind.ACCEPT)
    session.open(2)
    session.submit(Kind.ACCEPT)
    score = session.summary().work.gold
    assert (score.right, score.answers, score.wrongly_rejected) == (1, 2, 1)
    session.close()
    later = open_session(workspace)
    for number in (1, 3, 5):
        later.open(number)
        later.submit(Kind.ACCEPT)
    assert (later.summary().work.gold.right, later.summary().work.gold.answers) == (1, 1)


VOTES = [("accept", "accept")] * 9 + [("accept", "reject"), ("reject", "reject")]
WORK = SessionWork(
    {Kind.ACCEPT: 10},
    2,
    AnnotationSpeed(timed_decisions=12, active_ms=252_000, lengths=((8_200, 12),)),
    GoldScore("ana", 9, 1, 0),
    agreement(VOTES, ("accept", "reject"), resamples=10),
)


def test_the_lines_of_the_summary() -> None:
    assert report_lines(WORK, Consistency(4, 3), own=12, goal=200) == [
        ("time", "4 min 12 s without breaks · 2.9 decisions/min · median 8.2 s"),
        ("settled", "2 disagreements among these"),
        ("gold items", "9 of 10 right (95 % interval 60% to 98%)"),
        ("agreement", "10 of 11 votes equal to those of others (91%), kappa 0.61, AC1 0.88"),
        ("probes", "3 of 4 answers fit the accepts (95 % interval 30% to 95%)"),
        ("goal", "12 of 200"),
    ]
    nothing = SessionWork({}, 0, AnnotationSpeed(), GoldScore("ana", 0, 0, 0), None)
    assert report_lines(nothing, Consistency(), own=0, goal=0) == []
    assert report_lines(nothing, Consistency(), own=3, goal=2) == [("goal", "2 reached, 3 decided")]


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(42_400, "42 s"), (252_000, "4 min 12 s"), (3_725_000, "1 h 02 min")]
)
def test_durations(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


@pytest.mark.parametrize("size", [SIZE, (60, 20)])
async def test_the_end_of_the_queue_shows_the_summary(
    make_workspace: Any, open_app: Any, join: Any, size: tuple[int, int]
) -> None:
    workspace, clock = make_workspace(3, overlap="2"), MonotonicClock()
    ben = join(workspace, "ben")
    ben.decide(1, Kind.ACCEPT)
    app: NegwbApp = open_app(workspace, clock=clock, goal=3)
    async with running(app, size) as pilot:
        await settled(pilot)
        for key in ("a", "a", "u"):
            clock.advance(6)
            await press(pilot, key)
        assert isinstance(app.screen, QueueEndScreen)
        await until(pilot, lambda: "18 s without breaks · 10.0" in lines(app))
        assert "✓ 2 accepted · ? 1 unsure" in lines(app)
        assert "1 of 1 vote equal to those of others" in lines(app)
        assert "3 reached, 3 decided" in lines(app)
