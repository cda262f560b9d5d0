"""A session that lost leases: after a suspend, to another session, or by another annotator's decision."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.curating import current_id, lines, running, shown, until, wait_for, wait_for_card, wait_for_end
from support.record import Record
from support.wall_clock import WallClock
from support.workspaces import WorkspaceFixture, press, settled

from curation_db.enums import Kind, Reason
from curation_db.errors import NoLongerQueued
from curation_db.events.annotators import begin_session
from curation_db.queue.claims import Queue
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.annotation.models import DEPTH, CardOrigin
from workbench.annotation.prefetch import CardPrefetcher
from workbench.annotation.session import AnnotationSession
from workbench.tui.screens import curate as curate_module

SessionOpener = Callable[..., AnnotationSession]
SUSPENDED = 601.0


class OtherAnnotator:
    """Another annotator on the same machine, without a screen."""

    def __init__(self, workspace: WorkspaceFixture, clock: WallClock, name: str = "ben") -> None:
        self.store = open_store(workspace.root / "curation.db")
        actor = begin_session(self.store, name, version="test")
        self.queue = Queue(self.store, actor, ordering="oldest", audit_share=0.0, clock=clock)
        self.reviewer = DecisionWriter(self.store, actor, clock=clock)

    def claim(self, count: int = 1) -> list[int]:
        return [claim.candidate_id for claim in self.queue.claim(count)]


@pytest.fixture
def others() -> Any:
    annotators: list[OtherAnnotator] = []

    def make(*args: Any) -> OtherAnnotator:
        annotators.append(OtherAnnotator(*args))
        return annotators[-1]

    yield make
    for each in annotators:
        each.store.close()


@pytest.fixture
def clock() -> WallClock:
    return WallClock(time.time())


@pytest.fixture
def unattended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefetch thread renews no lease, as if it woke up last after a suspend."""
    monkeypatch.setattr(CardPrefetcher, "renewal_is_due", lambda _: False)


def wait_until_prepared(session: AnnotationSession, count: int = DEPTH) -> None:
    """Wait until so many cards are prepared."""
    wait_for(lambda: session.prepared >= count)


def holders(workspace: WorkspaceFixture) -> dict[int, list[str]]:
    holders_by_id: dict[int, list[str]] = {}
    for number, name in workspace.rows(
        "SELECT l.candidate_id, a.name FROM lease l JOIN annotator a ON a.id = l.annotator_id ORDER BY 1, 2"
    ):
        holders_by_id.setdefault(number, []).append(name)
    return holders_by_id


@pytest.mark.usefixtures("unattended")
class TestCardsPreparedBeforeASuspend:
    def test_cards_that_others_decided_meanwhile_are_not_shown_and_not_counted_twice(
        self, make_workspace: Any, open_session: SessionOpener, others: Any, clock: WallClock
    ) -> None:
        workspace = make_workspace(6)
        session = open_session(workspace, wall_clock=clock)
        assert current_id(session) == 1
        wait_until_prepared(session)
        clock.advance(SUSPENDED)
        ben = others(workspace, clock)
        for number in ben.claim(3):
            ben.reviewer.decide(number, Kind.ACCEPT)
        seen = []
        for _ in range(10):
            try:
                number = current_id(session)
                seen.append(number)
                session.submit(Kind.ACCEPT)
            except NoLongerQueued:
                assert session.look_forward()
            if len(seen) == 4:
                break
        assert seen == [1, 4, 5, 6]
        wait_for_end(session)
        assert sorted(number for number, _, _ in workspace.events()) == [1, 2, 3, 4, 5, 6]
        assert set(workspace.states().values()) == {"accepted"}

    def test_cards_that_others_hold_are_not_shown(
        self, make_workspace: Any, open_session: SessionOpener, others: Any, clock: WallClock
    ) -> None:
        workspace = make_workspace(5)
        session = open_session(workspace, wall_clock=clock)
        assert current_id(session) == 1
        wait_until_prepared(session)
        clock.advance(SUSPENDED)
        assert others(workspace, clock).claim(2) == [1, 2]
        session.submit(Kind.ACCEPT)  # two annotators had the shown card: the decision is stored as late
        assert workspace.rows("SELECT candidate_id, late FROM event") == [(1, 1)]
        assert [current_id(session)] == [3]

    def test_free_cards_are_leased_again_and_shown_in_order(
        self, make_workspace: Any, open_session: SessionOpener, clock: WallClock
    ) -> None:
        workspace = make_workspace(5)
        session = open_session(workspace, wall_clock=clock)
        assert current_id(session) == 1
        wait_until_prepared(session)
        clock.advance(SUSPENDED)
        for number in (1, 2, 3, 4, 5):
            assert current_id(session) == number
            session.submit(Kind.ACCEPT)
        wait_for_end(session)
        assert workspace.rows("SELECT candidate_id, late FROM event") == [(1, 1), (2, 0), (3, 0), (4, 0), (5, 0)]

    def test_a_prepared_card_shows_a_note_that_was_written_meanwhile(
        self, make_workspace: Any, open_session: SessionOpener, others: Any, clock: WallClock
    ) -> None:
        workspace = make_workspace(3)
        session = open_session(workspace, wall_clock=clock)
        assert current_id(session) == 1
        wait_until_prepared(session, 2)
        clock.advance(SUSPENDED)
        others(workspace, clock).reviewer.note(2, "see the shadow")
        session.submit(Kind.ACCEPT)
        assert wait_for_card(session).card.notes == ("see the shadow",)

    def test_a_card_that_was_decided_under_a_valid_lease_is_dropped_and_released(
        self, make_workspace: Any, open_session: SessionOpener, others: Any, clock: WallClock
    ) -> None:
        workspace = make_workspace(3)
        session = open_session(workspace, wall_clock=clock)
        assert current_id(session) == 1
        wait_until_prepared(session, 2)
        others(workspace, clock).reviewer.decide(2, Kind.ACCEPT)  # opened by name
        session.submit(Kind.ACCEPT)
        assert current_id(session) == 3
        session.submit(Kind.ACCEPT)
        wait_for_end(session)
        assert holders(workspace) == {}


class TestRenewal:
    def test_renewal_follows_the_wall_clock(
        self, make_workspace: Any, open_session: SessionOpener, others: Any, clock: WallClock
    ) -> None:
        workspace = make_workspace(6)
        session = open_session(workspace, wall_clock=clock, clock_check_seconds=0.01)
        assert current_id(session) == 1
        wait_until_prepared(session)
        ben = others(workspace, clock)
        for _ in range(4):
            clock.advance(599)
            wait_for(lambda: workspace.rows("SELECT min(expires_at) FROM lease") == [(clock() + 600,)])
        assert ben.claim(6) == [5, 6]

    def test_a_clock_that_is_set_back_renews_at_once(
        self, make_workspace: Any, open_session: SessionOpener, clock: WallClock
    ) -> None:
        workspace = make_workspace(1)
        session = open_session(workspace, wall_clock=clock, clock_check_seconds=0.01)
        wait_for_card(session)
        clock.advance(-86_400)
        wait_for(lambda: workspace.rows("SELECT expires_at FROM lease") == [(clock() + 600,)])
        session.submit(Kind.ACCEPT)
        assert workspace.rows("SELECT late FROM event") == [(0,)]

    def test_after_a_suspend_cards_that_others_hold_are_dropped(
        self,
        make_workspace: Any,
        open_session: SessionOpener,
        others: Any,
        clock: WallClock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        workspace = make_workspace(5)
        session = open_session(workspace, wall_clock=clock, clock_check_seconds=0.01)
        assert current_id(session) == 1
        wait_until_prepared(session)
        with monkeypatch.context() as suspended:  # the thread wakes last
            suspended.setattr(CardPrefetcher, "renewal_is_due", lambda _: False)
            clock.advance(SUSPENDED)
            ben = others(workspace, clock)
            assert ben.claim(2) == [1, 2]
        renewed = {1: ["ana", "ben"], 2: ["ana", "ben"], 3: ["ana"], 4: ["ana"], 5: ["ana"]}
        wait_for(lambda: holders(workspace) == renewed)
        assert ben.claim(5) == []
        session.submit(Kind.ACCEPT)
        assert current_id(session) == 3


class TestTheShownCard:
    def test_a_stale_decision_is_refused_once_and_then_written(
        self, make_workspace: Any, open_session: SessionOpener, others: Any, clock: WallClock
    ) -> None:
        workspace = make_workspace(3)
        session = open_session(workspace, wall_clock=clock)
        assert current_id(session) == 1
        clock.advance(SUSPENDED)
        others(workspace, clock).reviewer.decide(1, Kind.REJECT, reason=Reason.SCOPE)
        with pytest.raises(NoLongerQueued):
            session.submit(Kind.ACCEPT)
        assert workspace.states()[1] == "rejected"
        assert (current_id(session), wait_for_card(session).origin) == (1, CardOrigin.SEARCH)
        session.submit(Kind.ACCEPT)
        assert workspace.states()[1] == "contested"
        assert current_id(session) in (2, 3), "3 if it was ready before the lease of 2 was checked again"

    def test_going_forward_leaves_the_stale_card(
        self, make_workspace: Any, open_session: SessionOpener, join: Any
    ) -> None:
        workspace = make_workspace(3)
        session = open_session(workspace)
        assert current_id(session) == 1
        join(workspace, "ben").decide(1, Kind.REJECT, reason=Reason.SCOPE)
        with pytest.raises(NoLongerQueued):
            session.submit(Kind.SKIP)
        assert holders(workspace).get(1) is None
        assert session.look_forward()
        assert current_id(session) == 2
        assert [kind for _, kind, _ in workspace.events()] == ["reject"]

    def test_a_caption_that_was_replaced_meanwhile_is_not_decided(
        self, make_workspace: Any, open_session: SessionOpener, join: Any
    ) -> None:
        workspace = make_workspace(2)
        session = open_session(workspace)
        assert current_id(session) == 1
        join(workspace, "ben").edit(1, "a woman in a field, no hat")
        with pytest.raises(NoLongerQueued, match="edit"):
            session.submit(Kind.ACCEPT)
        assert [kind for _, kind, _ in workspace.events()] == ["edit"]
        assert session.look_forward()
        assert current_id(session) == 2

    def test_the_annotators_own_earlier_decision_is_replaced_at_once(
        self, make_workspace: Any, open_session: SessionOpener
    ) -> None:
        workspace = make_workspace(3)
        session = open_session(workspace)
        for _ in range(2):
            wait_for_card(session)
            session.submit(Kind.ACCEPT)
        assert session.look_back()
        session.submit(Kind.REJECT, Reason.SCOPE)
        session.undo()
        session.submit(Kind.REJECT, Reason.PRESENT)
        assert workspace.states()[2] == "rejected"

    def test_a_note_does_not_make_a_stale_card_current(
        self, make_workspace: Any, open_session: SessionOpener, join: Any
    ) -> None:
        workspace = make_workspace(2)
        session = open_session(workspace)
        assert current_id(session) == 1
        join(workspace, "ben").decide(1, Kind.ACCEPT)
        session.note("looks odd")
        with pytest.raises(NoLongerQueued):
            session.submit(Kind.REJECT, Reason.SCOPE)

    async def test_the_screen_shows_the_refusal(
        self, make_workspace: Any, open_app: Any, join: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(curate_module, "_PAUSE_SECONDS", 3_600.0)  # all that follows is typed ahead
        workspace = make_workspace(3)
        app = open_app(workspace)
        async with running(app, (80, 24)) as pilot:
            await settled(pilot)
            join(workspace, "ben").decide(1, Kind.REJECT, reason=Reason.SCOPE)
            await pilot.press("a", "a", "a")  # the second and third one are typed ahead
            await until(pilot, lambda: shown(app) == 1 and app.session.current.origin is CardOrigin.SEARCH)
            await settled(pilot)
            assert workspace.events() == [(1, "reject", "scope")]
            monkeypatch.setattr(curate_module, "_PAUSE_SECONDS", 0.0)
            await press(pilot, "a")
            assert workspace.states()[1] == "contested"
            assert shown(app) == 2
            join(workspace, "cho").decide(2, Kind.REJECT, reason=Reason.SCOPE)
            await press(pilot, "x", "p")
            await until(pilot, lambda: "needs no more decisions" in lines(app))
            await press(pilot, "right_square_bracket")
            assert shown(app) == 3
        Record(workspace.store).assert_state_matches_events()
        assert [number for number, _, _ in workspace.events()] == [1, 1, 2]
