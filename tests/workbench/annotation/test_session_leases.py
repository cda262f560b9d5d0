"""A desk whose leases were lost: after a suspend, to another session, or because somebody else decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.curating import emptied, here, lines, running, seated, shown, until, wait_for
from support.record import Record
from support.wall_clock import WallClock
from support.workspaces import House, press, settled

from curation_db.enums import Kind, Reason
from curation_db.errors import NoLongerAsked
from curation_db.events.annotators import begin_session
from curation_db.queue.claims import Queue
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.annotation.models import DEPTH, CardOrigin
from workbench.annotation.prefetch import CardPrefetcher
from workbench.annotation.session import AnnotationSession
from workbench.tui.screens import curate as curate_module

Sit = Callable[..., AnnotationSession]
SUSPENDED = 601.0


class Other:
    """Another person on the same machine, without a screen."""

    def __init__(self, house: House, clock: WallClock, name: str = "ben") -> None:
        self.store = open_store(house.root / "curation.db")
        actor = begin_session(self.store, name, version="test")
        self.queue = Queue(self.store, actor, ordering="oldest", audit_share=0.0, clock=clock)
        self.reviewer = DecisionWriter(self.store, actor, clock=clock)

    def claim(self, count: int = 1) -> list[int]:
        return [claim.candidate_id for claim in self.queue.claim(count)]


@pytest.fixture
def others() -> Any:
    made: list[Other] = []

    def make(*told: Any) -> Other:
        made.append(Other(*told))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


@pytest.fixture
def clock() -> WallClock:
    return WallClock(time.time())


@pytest.fixture
def unattended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deck's thread does not look at the clock: it was suspended with everything else, and wakes last."""
    monkeypatch.setattr(CardPrefetcher, "renewal_is_due", lambda _: False)


def full(desk: AnnotationSession, count: int = DEPTH) -> None:
    """Wait until so many cards are ready."""
    wait_for(lambda: desk.prepared >= count)


def holders(house: House) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for number, name in house.rows(
        "SELECT l.candidate_id, a.name FROM lease l JOIN annotator a ON a.id = l.annotator_id ORDER BY 1, 2"
    ):
        found.setdefault(number, []).append(name)
    return found


@pytest.mark.usefixtures("unattended")
class TestCardsPreparedBeforeASuspend:
    def test_those_that_somebody_decided_meanwhile_are_not_shown_and_not_counted_twice(
        self, make_house: Any, sit: Sit, others: Any, clock: WallClock
    ) -> None:
        house = make_house(6)
        desk = sit(house, wall_clock=clock)
        assert here(desk) == 1
        full(desk)
        clock.advance(SUSPENDED)
        ben = others(house, clock)
        for number in ben.claim(3):
            ben.reviewer.decide(number, Kind.ACCEPT)
        seen = []
        for _ in range(10):
            try:
                number = here(desk)
                seen.append(number)
                desk.decide(Kind.ACCEPT)
            except NoLongerAsked:
                assert desk.look_forward()
            if len(seen) == 4:
                break
        assert seen == [1, 4, 5, 6]
        emptied(desk)
        assert sorted(number for number, _, _ in house.events()) == [1, 2, 3, 4, 5, 6]
        assert set(house.states().values()) == {"accepted"}

    def test_those_that_somebody_holds_are_not_shown(
        self, make_house: Any, sit: Sit, others: Any, clock: WallClock
    ) -> None:
        house = make_house(5)
        desk = sit(house, wall_clock=clock)
        assert here(desk) == 1
        full(desk)
        clock.advance(SUSPENDED)
        assert others(house, clock).claim(2) == [1, 2]
        desk.decide(Kind.ACCEPT)  # the shown one was in two hands: kept, and late
        assert house.rows("SELECT candidate_id, late FROM event") == [(1, 1)]
        assert [here(desk)] == [3]

    def test_those_that_nobody_took_are_taken_again_and_shown_in_order(
        self, make_house: Any, sit: Sit, clock: WallClock
    ) -> None:
        house = make_house(5)
        desk = sit(house, wall_clock=clock)
        assert here(desk) == 1
        full(desk)
        clock.advance(SUSPENDED)
        for number in (1, 2, 3, 4, 5):
            assert here(desk) == number
            desk.decide(Kind.ACCEPT)
        emptied(desk)
        assert house.rows("SELECT candidate_id, late FROM event") == [(1, 1), (2, 0), (3, 0), (4, 0), (5, 0)]

    def test_what_was_written_on_a_prepared_card_meanwhile_is_on_it(
        self, make_house: Any, sit: Sit, others: Any, clock: WallClock
    ) -> None:
        house = make_house(3)
        desk = sit(house, wall_clock=clock)
        assert here(desk) == 1
        full(desk, 2)
        clock.advance(SUSPENDED)
        others(house, clock).reviewer.note(2, "see the shadow")
        desk.decide(Kind.ACCEPT)
        assert seated(desk).card.notes == ("see the shadow",)

    def test_one_that_was_decided_under_a_valid_lease_is_dropped_and_its_lease_given_back(
        self, make_house: Any, sit: Sit, others: Any, clock: WallClock
    ) -> None:
        house = make_house(3)
        desk = sit(house, wall_clock=clock)
        assert here(desk) == 1
        full(desk, 2)
        others(house, clock).reviewer.decide(2, Kind.ACCEPT)  # opened by name
        desk.decide(Kind.ACCEPT)
        assert here(desk) == 3
        desk.decide(Kind.ACCEPT)
        emptied(desk)
        assert holders(house) == {}


class TestRenewal:
    def test_it_goes_by_the_wall_clock(self, make_house: Any, sit: Sit, others: Any, clock: WallClock) -> None:
        house = make_house(6)
        desk = sit(house, wall_clock=clock, clock_check_seconds=0.01)
        assert here(desk) == 1
        full(desk)
        ben = others(house, clock)
        for _ in range(4):
            clock.advance(599)
            wait_for(lambda: house.rows("SELECT min(expires_at) FROM lease") == [(clock() + 600,)])
        assert ben.claim(6) == [5, 6]

    def test_a_clock_that_is_set_back_renews_at_once(self, make_house: Any, sit: Sit, clock: WallClock) -> None:
        house = make_house(1)
        desk = sit(house, wall_clock=clock, clock_check_seconds=0.01)
        seated(desk)
        clock.advance(-86_400)
        wait_for(lambda: house.rows("SELECT expires_at FROM lease") == [(clock() + 600,)])
        desk.decide(Kind.ACCEPT)
        assert house.rows("SELECT late FROM event") == [(0,)]

    def test_after_a_suspend_what_others_hold_is_dropped(
        self, make_house: Any, sit: Sit, others: Any, clock: WallClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house = make_house(5)
        desk = sit(house, wall_clock=clock, clock_check_seconds=0.01)
        assert here(desk) == 1
        full(desk)
        with monkeypatch.context() as suspended:  # the thread wakes last
            suspended.setattr(CardPrefetcher, "renewal_is_due", lambda _: False)
            clock.advance(SUSPENDED)
            ben = others(house, clock)
            assert ben.claim(2) == [1, 2]
        renewed = {1: ["ana", "ben"], 2: ["ana", "ben"], 3: ["ana"], 4: ["ana"], 5: ["ana"]}
        wait_for(lambda: holders(house) == renewed)
        assert ben.claim(5) == []
        desk.decide(Kind.ACCEPT)
        assert here(desk) == 3


class TestTheShownCard:
    def test_a_stale_decision_is_asked_for_again_and_then_written(
        self, make_house: Any, sit: Sit, others: Any, clock: WallClock
    ) -> None:
        house = make_house(3)
        desk = sit(house, wall_clock=clock)
        assert here(desk) == 1
        clock.advance(SUSPENDED)
        others(house, clock).reviewer.decide(1, Kind.REJECT, reason=Reason.SCOPE)
        with pytest.raises(NoLongerAsked):
            desk.decide(Kind.ACCEPT)
        assert house.states()[1] == "rejected"
        assert (here(desk), seated(desk).way) == (1, CardOrigin.FOUND)
        desk.decide(Kind.ACCEPT)
        assert house.states()[1] == "contested"
        assert here(desk) == 2

    def test_going_on_leaves_it(self, make_house: Any, sit: Sit, join: Any) -> None:
        house = make_house(3)
        desk = sit(house)
        assert here(desk) == 1
        join(house, "ben").decide(1, Kind.REJECT, reason=Reason.SCOPE)
        with pytest.raises(NoLongerAsked):
            desk.decide(Kind.SKIP)
        assert holders(house).get(1) is None
        assert desk.look_forward()
        assert here(desk) == 2
        assert [kind for _, kind, _ in house.events()] == ["reject"]

    def test_a_caption_that_was_replaced_meanwhile_is_not_decided(self, make_house: Any, sit: Sit, join: Any) -> None:
        house = make_house(2)
        desk = sit(house)
        assert here(desk) == 1
        join(house, "ben").edit(1, "a woman in a field, no hat")
        with pytest.raises(NoLongerAsked, match="edit"):
            desk.decide(Kind.ACCEPT)
        assert [kind for _, kind, _ in house.events()] == ["edit"]
        assert desk.look_forward()
        assert here(desk) == 2

    def test_ones_own_earlier_decision_is_replaced_without_a_question(self, make_house: Any, sit: Sit) -> None:
        house = make_house(3)
        desk = sit(house)
        for _ in range(2):
            seated(desk)
            desk.decide(Kind.ACCEPT)
        assert desk.look_back()
        desk.decide(Kind.REJECT, Reason.SCOPE)
        desk.undo()
        desk.decide(Kind.REJECT, Reason.PRESENT)
        assert house.states()[2] == "rejected"

    def test_a_note_does_not_make_a_stale_card_fresh(self, make_house: Any, sit: Sit, join: Any) -> None:
        house = make_house(2)
        desk = sit(house)
        assert here(desk) == 1
        join(house, "ben").decide(1, Kind.ACCEPT)
        desk.note("looks odd")
        with pytest.raises(NoLongerAsked):
            desk.decide(Kind.REJECT, Reason.SCOPE)

    async def test_on_the_screen(
        self, make_house: Any, open_app: Any, join: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(curate_module, "_PAUSE_SECONDS", 3_600.0)  # all that follows is typed ahead
        house = make_house(3)
        app = open_app(house)
        async with running(app, (80, 24)) as pilot:
            await settled(pilot)
            join(house, "ben").decide(1, Kind.REJECT, reason=Reason.SCOPE)
            await pilot.press("a", "a", "a")  # the second and third one are typed ahead
            await until(pilot, lambda: shown(app) == 1 and app.desk.current.way is CardOrigin.FOUND)
            await settled(pilot)
            assert house.events() == [(1, "reject", "scope")]
            monkeypatch.setattr(curate_module, "_PAUSE_SECONDS", 0.0)
            await press(pilot, "a")
            assert house.states()[1] == "contested"
            assert shown(app) == 2
            join(house, "cho").decide(2, Kind.REJECT, reason=Reason.SCOPE)
            await press(pilot, "x", "p")
            await until(pilot, lambda: "needs no answer" in lines(app))
            await press(pilot, "right_square_bracket")
            assert shown(app) == 3
        Record(house.store).assert_state_is_the_fold()
        assert [number for number, _, _ in house.events()] == [1, 1, 2]
