"""Dwell time does not count idle time and absence; a hasty decision is warned about once a burst."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.curating import current_id, lines, running, wait_for_card
from support.workspaces import press, settled

from curation_db.enums import Kind, Reason
from curation_db.events.hasty import HASTY_MS
from workbench.annotation.dwell_time import IDLE_SECONDS, DwellTimer
from workbench.annotation.progress_counter import ThroughputMeter
from workbench.annotation.session import AnnotationSession

SessionOpener = Callable[..., AnnotationSession]


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class TestAttention:
    def test_a_break_counts_as_a_minute_at_most(self) -> None:
        clock = Clock()
        timer = DwellTimer(clock)
        timer.turn_to(1)
        clock.now += 20
        timer.activity()
        clock.now += 3_000
        assert timer.seconds_on(1) == 20 + IDLE_SECONDS
        timer.activity()
        clock.now += 5
        assert timer.seconds_on(1) == 25 + IDLE_SECONDS

    def test_a_terminal_in_the_background_does_not_count(self) -> None:
        clock = Clock()
        timer = DwellTimer(clock)
        timer.turn_to(1)
        clock.now += 3
        timer.blur()
        clock.now += 30
        assert timer.seconds_on(1) == 3
        timer.activity()
        clock.now += 4
        assert timer.seconds_on(1) == 7

    def test_the_time_of_a_card_that_was_put_aside_continues(self) -> None:
        clock = Clock()
        timer = DwellTimer(clock)
        for card, seconds in ((1, 2), (2, 30), (None, 10), (1, 3)):
            timer.turn_to(card)
            clock.now += seconds
        assert (timer.seconds_on(1), timer.seconds_on(2)) == (5, 30)
        timer.reset(2)
        assert timer.seconds_on(2) == 0

    @given(
        st.lists(
            st.tuples(st.floats(0, 500), st.sampled_from(["activity", "blur", "turn_to", "reset"]), st.integers(1, 3))
        )
    )
    def test_never_more_than_the_time_that_passed(self, steps: list[tuple[float, str, int]]) -> None:
        clock = Clock()
        timer = DwellTimer(clock)
        for seconds, what, card in steps:
            clock.now += seconds
            getattr(timer, what)(*([card] if what in {"turn_to", "reset"} else []))
        counted = [timer.seconds_on(card) for card in (1, 2, 3)]
        assert all(each >= 0 for each in counted)
        assert sum(counted) <= sum(seconds for seconds, _, _ in steps) + 1e-6


class TestHaste:
    def test_the_warning_lasts_from_the_first_hasty_decision_until_a_slower_one(self) -> None:
        meter, warnings = ThroughputMeter(), []
        for seconds in (2.0, 0.1, 0.1, 0.2, HASTY_MS / 1000, 0.1):
            meter.decided(Kind.ACCEPT, round(seconds * 1000), first_look=True)
            warnings.append(meter.hasty)
        assert warnings == [False, True, True, True, False, True]

    def test_a_card_seen_before_and_a_skip_are_never_hasty(self) -> None:
        meter = ThroughputMeter()
        meter.decided(Kind.ACCEPT, 100)
        assert not meter.hasty
        for kind in (Kind.SKIP, Kind.EDIT):
            meter.decided(kind, 100, first_look=True)
            assert not meter.hasty


class TestSession:
    def test_the_record_has_the_time_without_idle(self, make_workspace: Any, open_session: SessionOpener) -> None:
        workspace, clock = make_workspace(2), Clock()
        session = open_session(workspace, clock=clock)
        wait_for_card(session)
        clock.now += 2
        session.dwell_timer.activity()
        clock.now += 7_200
        session.dwell_timer.activity()
        clock.now += 1.5
        session.submit(Kind.ACCEPT)
        assert workspace.rows("SELECT elapsed_ms FROM event") == [(round((3.5 + IDLE_SECONDS) * 1000),)]
        assert not session.progress.hasty

    def test_a_hasty_decision_is_warned_about_and_stored(
        self, make_workspace: Any, open_session: SessionOpener
    ) -> None:
        workspace, clock = make_workspace(3), Clock()
        session = open_session(workspace, clock=clock)
        wait_for_card(session)
        clock.now += 0.1
        session.submit(Kind.ACCEPT)
        assert session.progress.hasty
        assert workspace.states()[1] == "accepted"
        wait_for_card(session)
        clock.now += 1
        session.submit(Kind.ACCEPT)
        assert not session.progress.hasty

    def test_deciding_again_after_an_undo_is_not_hasty(self, make_workspace: Any, open_session: SessionOpener) -> None:
        session = open_session(make_workspace(2), clock=Clock())
        clock: Any = session.dwell_timer._clock
        first = current_id(session)
        clock.now += 5
        session.submit(Kind.ACCEPT)
        session.undo()
        assert current_id(session) == first
        clock.now += 0.1
        session.submit(Kind.REJECT, Reason.SCOPE)
        assert not session.progress.hasty


async def test_a_key_press_is_activity(make_workspace: Any, open_app: Any) -> None:
    clock = Clock()
    app = open_app(make_workspace(2), clock=clock)
    async with running(app) as pilot:
        await settled(pilot)
        clock.now += 40
        await press(pilot, "down")
        clock.now += 40
        assert app.session.dwell_timer.seconds_on(1) == 80
        await press(pilot, "a")
        assert "faster" not in lines(app)
