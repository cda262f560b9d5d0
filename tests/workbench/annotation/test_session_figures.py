"""The figures at the end of a session, which counts of a few decisions do not pretend to know too well."""

from __future__ import annotations

import pytest

from curation_db.queue.gold import GoldScore
from curation_db.search.session_work import SessionWork, VotesOfOthers
from curation_db.stats.decision_speed import AnnotationSpeed
from curation_db.stats.probes import Consistency
from workbench.annotation.answer_counts import RefusedAnswers
from workbench.annotation.models import SessionSummary
from workbench.annotation.wording import session_figures


def summary(work: SessionWork, probes: Consistency | None = None) -> SessionSummary:
    return SessionSummary({}, {}, 0, 0, RefusedAnswers(0, 0, 0), work=work, probes=probes or Consistency())


def speed(decisions: int, milliseconds: int) -> AnnotationSpeed:
    return AnnotationSpeed(decisions, decisions, decisions * milliseconds, ((milliseconds, decisions),))


def test_nothing_is_said_about_a_session_without_decisions() -> None:
    assert session_figures(summary(SessionWork())) == []


def test_a_few_decisions_give_counts_and_no_share() -> None:
    work = SessionWork(speed(2, 4_500), GoldScore("ana", 1, 0, 0), VotesOfOthers(1, 2))
    assert session_figures(summary(work)) == [
        ("time on cards", "9.0 s · median 4.5 s"),
        ("test cards", "1 of 1 right"),
        ("agreement", "1 of 2 votes of others are as yours"),
    ]


def test_more_decisions_give_speed_and_intervals() -> None:
    work = SessionWork(speed(720, 5_000), GoldScore("ana", 9, 1, 0), VotesOfOthers(45, 50))
    figures = dict(session_figures(summary(work, Consistency(10, 8))))
    assert figures["time on cards"] == "1 h 0 min · median 5.0 s · 720 decisions/h"
    assert figures["test cards"] == "9 of 10 right · 95 % interval 60% to 98%"
    assert figures["agreement"].startswith("45 of 50 votes of others are as yours · 95 % interval 79%")
    assert figures["probes"].startswith("8 of 10 answers fit the accepts")


@pytest.mark.parametrize(
    ("seconds", "text"), [(4, "4.0 s"), (12, "12 s"), (59, "59 s"), (90, "2 min"), (3_600, "1 h 0 min")]
)
def test_the_time_has_a_unit_of_its_size(seconds: int, text: str) -> None:
    assert session_figures(summary(SessionWork(speed(1, seconds * 1_000)))) == [("time on cards", text)]
