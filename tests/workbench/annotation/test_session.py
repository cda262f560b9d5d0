"""A sitting without a screen: what is written, what comes next, and the way back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.curating import emptied, here, seated, wait_for
from support.monotonic import MonotonicClock
from support.wall_clock import WallClock

from curation_db.enums import Kind, Reason, State, Stream
from curation_db.queue.leases import LEASE_SECONDS
from curation_db.search.cards import load_card
from curation_db.search.overview import overview
from curation_db.stats.decision_speed import speeds
from curation_db.stats.progress import read_progress
from workbench.annotation.models import CardOrigin, PictureLoading
from workbench.annotation.session import AnnotationSession
from workbench.annotation.throughput import ThroughputMeter
from workbench.annotation.wording import session_counts
from workbench.images.decode import ThumbnailCache
from workbench.workspace.picture_folders import PictureFolders

Sit = Callable[..., AnnotationSession]


def test_each_decision_is_on_the_disk_before_the_next_card(make_house: Any, sit: Sit) -> None:
    house = make_house(4)
    desk = sit(house)
    assert here(desk) == 1
    desk.decide(Kind.ACCEPT)
    assert house.events() == [(1, "accept", None)]
    assert here(desk) == 2
    desk.decide(Kind.REJECT, Reason.SCOPE)
    assert here(desk) == 3
    desk.decide(Kind.UNSURE)
    desk_states = house.states()
    assert (desk_states[1], desk_states[2], desk_states[3]) == ("accepted", "rejected", "unsure")
    assert desk.progress.decided == 2
    assert desk.progress.total == 4
    assert desk.progress.streak == (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE)


def test_time_on_the_card_goes_into_the_event(make_house: Any, sit: Sit) -> None:
    house = make_house(2)
    clock = MonotonicClock()
    desk = sit(house, clock=clock)
    seated(desk)
    clock.advance(2.5)
    desk.decide(Kind.ACCEPT)
    assert house.rows("SELECT elapsed_ms FROM event") == [(2_500,)]


def test_undo_brings_the_card_back_and_puts_the_other_one_next(make_house: Any, sit: Sit) -> None:
    house = make_house(6)
    desk = sit(house)
    for _ in range(3):
        seated(desk)
        desk.decide(Kind.ACCEPT)
    assert here(desk) == 4
    assert desk.undo() is Kind.ACCEPT
    assert here(desk) == 3
    assert desk.undo() is Kind.ACCEPT
    assert here(desk) == 2
    assert desk.progress.decided == 1
    desk.decide(Kind.REJECT, Reason.PRESENT)
    assert here(desk) == 3
    desk.decide(Kind.ACCEPT)
    assert here(desk) == 4
    assert house.states()[2] == "rejected"
    assert not house.rows("SELECT 1 FROM event WHERE late")


def test_redo_walks_forward_again(make_house: Any, sit: Sit) -> None:
    house = make_house(5)
    desk = sit(house)
    for _ in range(3):
        seated(desk)
        desk.decide(Kind.ACCEPT)
    for _ in range(3):
        desk.undo()
    assert here(desk) == 1
    for number in (2, 3, 4):
        assert desk.redo() is Kind.ACCEPT
        assert here(desk) == number
    assert desk.redo() is None
    assert list(house.states().values()).count("accepted") == 3


def test_undo_and_redo_do_not_end_with_a_session(make_house: Any, sit: Sit) -> None:
    house = make_house(4)
    first = sit(house)
    for _ in range(2):
        seated(first)
        first.decide(Kind.ACCEPT)
    first.close()
    second = sit(house)
    assert here(second) == 3
    assert second.undo() is Kind.ACCEPT
    assert here(second) == 2
    second.close()
    third = sit(house)
    assert here(third) == 2  # open again, and the first in the queue
    assert third.redo() is Kind.ACCEPT
    assert here(third) == 3
    assert third.progress.decided == 2


def test_undo_without_a_past_does_nothing(make_house: Any, sit: Sit) -> None:
    desk = sit(make_house(1))
    assert here(desk) == 1
    assert desk.undo() is None
    assert desk.redo() is None
    assert here(desk) == 1


def test_an_edit_is_its_editors_accept_where_one_person_decides(make_house: Any, sit: Sit) -> None:
    house = make_house(2)
    desk = sit(house)
    seated(desk)
    done = desk.edit("a woman without a hat", "hat")
    assert house.states() == {1: "superseded", 2: "open", done.child_id: "accepted"}
    assert desk.progress.decided == 1
    assert desk.progress.total == 2
    assert here(desk) == 2
    assert desk.undo() is Kind.EDIT
    assert here(desk) == 1
    assert house.states() == {1: "open", 2: "open", done.child_id: "superseded"}
    assert desk.redo() is Kind.EDIT
    assert house.states()[done.child_id] == "accepted"


def test_an_unchanged_edit_is_refused_and_the_card_stays(make_house: Any, sit: Sit) -> None:
    house = make_house(1)
    desk = sit(house)
    text = seated(desk).card.text
    with pytest.raises(ValueError, match="unchanged"):
        desk.edit(text)
    assert here(desk) == 1
    assert house.events() == []


def test_looking_back_changes_nothing(make_house: Any, sit: Sit) -> None:
    house = make_house(5)
    desk = sit(house)
    for _ in range(2):
        seated(desk)
        desk.decide(Kind.ACCEPT)
    assert here(desk) == 3
    assert desk.look_back()
    ready = seated(desk)
    assert (ready.card.candidate_id, ready.way, ready.leased) == (2, CardOrigin.BACK, False)
    assert ready.past is not None
    assert ready.past.kind is Kind.ACCEPT
    assert desk.look_back()
    assert here(desk) == 1
    assert not desk.look_back()
    assert desk.look_forward()
    assert here(desk) == 2
    assert desk.look_forward()
    assert here(desk) == 3
    assert not desk.look_forward()
    assert len(house.events()) == 2


def test_a_change_of_mind_while_looking_back_replaces_the_vote(make_house: Any, sit: Sit) -> None:
    house = make_house(4)
    desk = sit(house)
    for _ in range(2):
        seated(desk)
        desk.decide(Kind.ACCEPT)
    seated(desk)
    desk.look_back()
    desk.look_back()
    assert here(desk) == 1
    desk.decide(Kind.REJECT, Reason.GRATUITOUS)
    assert here(desk) == 2  # on the way back to the work
    desk.look_forward()
    assert here(desk) == 3
    assert house.states()[1] == "rejected"
    assert house.events()[-1] == (1, "reject", "gratuitous")
    assert not house.rows("SELECT 1 FROM event WHERE late")
    assert desk.undo() is Kind.REJECT
    assert here(desk) == 1
    assert house.states()[1] == "accepted"  # the earlier vote stands again


def test_looking_back_at_an_edit_shows_its_child(make_house: Any, sit: Sit) -> None:
    house = make_house(2)
    desk = sit(house)
    seated(desk)
    child = desk.edit("a woman without a hat").child_id
    seated(desk)
    desk.look_back()
    assert here(desk) == child
    desk.decide(Kind.REJECT, Reason.PRESENT)
    assert house.states()[child] == "rejected"


def test_skipped_cards_wait_until_they_are_asked_for(make_house: Any, sit: Sit) -> None:
    house = make_house(3)
    desk = sit(house)
    for kind in (Kind.SKIP, Kind.UNSURE, Kind.ACCEPT):
        seated(desk)
        desk.decide(kind)
    emptied(desk)
    summary = desk.summary()
    assert (summary.fresh, summary.passed) == (0, 2)
    assert summary.states[State.ACCEPTED] == 1
    assert summary.sitting == {Kind.SKIP: 1, Kind.UNSURE: 1, Kind.ACCEPT: 1}
    desk.revisit()
    assert here(desk) == 1
    desk.decide(Kind.SKIP)
    assert here(desk) == 2
    desk.decide(Kind.ACCEPT)
    emptied(desk)  # what was skipped again does not come again in the same round
    desk.revisit()
    assert here(desk) == 1


def test_notes_and_flags_leave_the_card_in_the_seat(make_house: Any, sit: Sit) -> None:
    house = make_house(2)
    desk = sit(house)
    seated(desk)
    desk.note("look at the left")
    assert desk.toggle_flag() is True
    assert here(desk) == 1
    assert seated(desk).card.notes == ("look at the left",)
    assert seated(desk).card.flagged
    assert desk.toggle_flag() is False
    assert desk.undo() is Kind.NOTE
    assert here(desk) == 1
    assert seated(desk).card.notes == ()
    assert desk.redo() is Kind.NOTE
    assert seated(desk).card.notes == ("look at the left",)
    assert house.states()[1] == "open"


def test_undoing_a_remark_on_a_settled_card_shows_it_and_leads_on(make_house: Any, sit: Sit) -> None:
    house = make_house(3)
    desk = sit(house)
    seated(desk)
    desk.decide(Kind.ACCEPT)
    seated(desk)
    desk.look_back()
    desk.toggle_flag()
    desk.look_forward()
    assert here(desk) == 2
    assert desk.undo() is Kind.FLAG
    ready = seated(desk)
    assert (ready.card.candidate_id, ready.way, ready.leased) == (1, CardOrigin.BACK, False)
    assert ready.past is not None
    assert ready.past.kind is Kind.ACCEPT
    assert house.rows("SELECT 1 FROM lease WHERE candidate_id = 1") == []
    assert desk.look_forward()
    assert here(desk) == 2
    desk.decide(Kind.ACCEPT)
    assert house.rows("SELECT late FROM event WHERE candidate_id = 2") == [(0,)]


def test_found_cards_open_and_the_work_goes_on_behind_them(make_house: Any, sit: Sit) -> None:
    house = make_house(6)
    desk = sit(house)
    assert here(desk) == 1
    found = desk.find("number 4")
    assert [match.candidate_id for match in found] == [5]
    desk.open(5)
    ready = seated(desk)
    assert (ready.card.candidate_id, ready.way, ready.leased) == (5, CardOrigin.FOUND, True)
    desk.decide(Kind.ACCEPT)
    assert here(desk) == 1
    desk.open(5)
    assert not seated(desk).leased  # settled: nothing to hold
    assert desk.look_forward()
    assert here(desk) == 1
    for number in (1, 2, 3, 4, 6):
        assert here(desk) == number
        desk.decide(Kind.ACCEPT)
    emptied(desk)


@pytest.mark.parametrize("words", ['"', "(", "* -", "no:thing", "\x00", "' OR 1", "---"])
def test_odd_searches_find_nothing_and_break_nothing(make_house: Any, sit: Sit, words: str) -> None:
    desk = sit(make_house(2))
    assert desk.find(words) == []


def test_edited_texts_can_be_found(make_house: Any, sit: Sit) -> None:
    desk = sit(make_house(2))
    seated(desk)
    desk.find("anything")
    child = desk.edit("a rider without spectacles").child_id
    assert [match.candidate_id for match in desk.find("spectacles")] == [child]


def test_audit_cards_are_blind(make_house: Any, sit: Sit) -> None:
    house = make_house(2, audit_rate=1.0)
    desk = sit(house, audit_share=1.0)
    ready = seated(desk)
    assert ready.stream is Stream.AUDIT
    assert ready.hidden
    desk.decide(Kind.ACCEPT)
    assert house.rows("SELECT stream, blind FROM event") == [("audit", 1)]
    seated(desk)
    desk.look_back()
    assert seated(desk).hidden


def test_a_blind_sitting_is_blind_and_says_so_in_the_event(make_house: Any, sit: Sit) -> None:
    house = make_house(1)
    desk = sit(house, blind=True)
    assert seated(desk).hidden
    desk.decide(Kind.ACCEPT)
    assert house.rows("SELECT stream, blind FROM event") == [("review", 1)]


def test_two_people_never_get_the_same_card(make_house: Any, sit: Sit) -> None:
    house = make_house(12)
    ana, ben = sit(house, "ana", depth=1), sit(house, "ben", depth=1)
    seen = []
    for _ in range(3):
        seen += [here(ana), here(ben)]
        ana.decide(Kind.ACCEPT)
        ben.decide(Kind.ACCEPT)
    assert len(set(seen)) == 6


def test_leaving_gives_all_cards_back(make_house: Any, sit: Sit) -> None:
    house = make_house(6)
    threads = set(threading.enumerate())
    desk = sit(house)
    seated(desk)
    wait_for(lambda: len(house.rows("SELECT 1 FROM lease")) == 4)  # the shown one and three behind it
    desk.close()
    desk.close()
    assert house.rows("SELECT 1 FROM lease") == []
    assert set(threading.enumerate()) <= threads


def test_leases_are_renewed_while_a_card_is_looked_at(make_house: Any, sit: Sit) -> None:
    house, clock = make_house(1), WallClock(time.time())
    desk = sit(house, wall_clock=clock, clock_check_seconds=0.01)
    seated(desk)
    for _ in range(2):
        clock.advance(LEASE_SECONDS - 1)
        wait_for(lambda: house.rows("SELECT expires_at FROM lease") == [(clock() + LEASE_SECONDS,)])
    desk.decide(Kind.ACCEPT)
    assert house.rows("SELECT late FROM event") == [(0,)]


def test_a_session_counts() -> None:
    counts = {Kind.UNSURE: 1, Kind.ACCEPT: 5_000, Kind.SKIP: 0}
    assert session_counts(counts) == ["5,000 accepted", "1 unsure"]
    assert session_counts(counts, glyphs=True) == ["✓ 5,000 accepted", "? 1 unsure"]
    assert session_counts({}) == []


def test_pace_counts_looking_and_no_coffee() -> None:
    pace = ThroughputMeter()
    pace.decided(Kind.ACCEPT, 10_000)
    pace.decided(Kind.ACCEPT, 3_000_000)
    assert pace.per_hour is None
    pace.decided(Kind.ACCEPT, 20_000)
    assert pace.per_hour == 120


def test_a_replaced_decision_counts_once_and_the_speed_is_the_same_everywhere(make_house: Any, sit: Sit) -> None:
    house, clock = make_house(6), MonotonicClock()
    for _ in range(2):  # the second sitting goes on counting where the first one ended
        desk = sit(house, clock=clock)
        for _ in range(2):
            seated(desk)
            clock.advance(1.5)
            desk.decide(Kind.ACCEPT)
        assert desk.look_back()
        desk.decide(Kind.REJECT, Reason.SCOPE)
        assert desk.summary().sitting == {Kind.ACCEPT: 1, Kind.REJECT: 1}
        shown = desk.progress.per_hour
        desk.close()
    (worker,) = read_progress(house.store).people
    assert (worker.decisions[Kind.ACCEPT], worker.decisions[Kind.REJECT]) == (2, 2)
    assert worker.speed.per_hour is not None
    assert shown == round(worker.speed.per_hour)
    with house.store.read() as connection:
        assert speeds(connection)["ana"].per_hour == worker.speed.per_hour
        (counted,) = overview(connection).people
    assert (counted.decisions["accept"], counted.decisions["reject"]) == (2, 2)


def test_a_source_without_a_picture_folder_is_told_how_to_name_one(make_house: Any) -> None:
    house = make_house(1)
    with house.store.read() as connection:
        card = load_card(connection, 1)
    folders = PictureFolders(house.root, {})
    pictures = PictureLoading(folders.locate, ThumbnailCache((8, 8)).get, folders.folders)
    told = pictures.thumbnail(card, pictures.locate(card)).problem
    assert told == "no picture folder of small is known: negwb import FILE --pictures FOLDER"
