"""The annotation session without a screen: stored events, the next card, undo and the back history."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from support.curating import current_id, wait_for, wait_for_card, wait_for_end
from support.monotonic import MonotonicClock
from support.record import Record
from support.wall_clock import WallClock

from curation_db.enums import Kind, PictureShown, Reason, Role, State, Stream
from curation_db.errors import CardChanged, RecordError
from curation_db.events.annotators import begin_session
from curation_db.queue.leases import LEASE_SECONDS
from curation_db.search.cards import load_card
from curation_db.search.overview import overview
from curation_db.search.rows import ListedCandidate, page_of
from curation_db.stats.decision_speed import speeds
from curation_db.stats.progress import read_progress
from curation_db.storage.store import open_store
from workbench.annotation.models import CardOrigin, ImageLoader
from workbench.annotation.progress_counter import ProgressCounter, ThroughputMeter
from workbench.annotation.session import AnnotationSession
from workbench.annotation.wording import session_counts
from workbench.images.decode import ThumbnailCache
from workbench.workspace.picture_folders import PictureFolders

SessionOpener = Callable[..., AnnotationSession]


def test_each_decision_is_committed_before_the_next_card(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(4)
    session = open_session(workspace)
    assert current_id(session) == 1
    session.submit(Kind.ACCEPT)
    assert workspace.events() == [(1, "accept", None)]
    assert current_id(session) == 2
    session.submit(Kind.REJECT, Reason.SCOPE)
    assert current_id(session) == 3
    session.submit(Kind.UNSURE)
    states = workspace.states()
    assert (states[1], states[2], states[3]) == ("accepted", "rejected", "unsure")
    assert session.progress.decided == 2
    assert session.progress.total == 4
    assert session.progress.streak == (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE)


@pytest.mark.parametrize("overlap", ["1", "2"])
def test_edits_undos_and_redos_keep_the_counts_of_the_record_without_counting_it(
    make_workspace: Any, open_session: SessionOpener, monkeypatch: pytest.MonkeyPatch, overlap: str
) -> None:
    session = open_session(make_workspace(6, audit_rate=0.5, overlap=overlap), audit_share=0.5)
    acts: list[Callable[[], object]] = [
        lambda: session.submit(Kind.ACCEPT),
        session.undo,
        session.redo,
        lambda: session.edit("a man without a blue hat"),
        lambda: session.submit(Kind.REJECT, Reason.SCOPE),
        session.undo,
        session.undo,
        session.undo,
        session.redo,
        session.redo,
        session.toggle_flag,
        session.undo,
    ]
    count = ProgressCounter._count
    for act in acts:
        wait_for_card(session)
        monkeypatch.setattr(ProgressCounter, "_count", lambda _: pytest.fail("the whole record was counted"))
        act()
        monkeypatch.setattr(ProgressCounter, "_count", count)
        expected = ProgressCounter(session.store, session.actor, counts_audit=True)
        expected.recount()
        shown = session.progress
        assert (shown.decided, shown.total) == (expected.progress.decided, expected.progress.total)
        assert shown.audit == expected.progress.audit


def test_the_event_has_the_dwell_time(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(2)
    clock = MonotonicClock()
    session = open_session(workspace, clock=clock)
    wait_for_card(session)
    clock.advance(2.5)
    session.submit(Kind.ACCEPT)
    assert workspace.rows("SELECT elapsed_ms FROM event") == [(2_500,)]


def test_candidates_that_arrive_later_are_served_and_counted(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(1)
    session = open_session(workspace)
    wait_for_card(session)
    session.submit(Kind.ACCEPT)
    wait_for_end(session)
    assert session.find("horse") != []
    added = Record(workspace.store).add(2)
    changes: list[None] = []
    session.on_change = lambda: changes.append(None)
    session.candidates_arrived()
    assert changes
    assert current_id(session) == added[0]
    assert (session.progress.decided, session.progress.total) == (1, 3)
    assert len(session.find("riding")) == 3, "they can be searched"


def test_undo_shows_the_card_again_and_the_other_one_next(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(6)
    session = open_session(workspace)
    for _ in range(3):
        wait_for_card(session)
        session.submit(Kind.ACCEPT)
    assert current_id(session) == 4
    assert session.undo() is Kind.ACCEPT
    assert current_id(session) == 3
    assert session.undo() is Kind.ACCEPT
    assert current_id(session) == 2
    assert session.progress.decided == 1
    session.submit(Kind.REJECT, Reason.PRESENT)
    assert current_id(session) == 3
    session.submit(Kind.ACCEPT)
    assert current_id(session) == 4
    assert workspace.states()[2] == "rejected"
    assert not workspace.rows("SELECT 1 FROM event WHERE late")


def test_redo_repeats_what_was_undone(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(5)
    session = open_session(workspace)
    for _ in range(3):
        wait_for_card(session)
        session.submit(Kind.ACCEPT)
    for _ in range(3):
        session.undo()
    assert current_id(session) == 1
    for number in (2, 3, 4):
        assert session.redo() is Kind.ACCEPT
        assert current_id(session) == number
    assert session.redo() is None
    assert list(workspace.states().values()).count("accepted") == 3


def test_undo_and_redo_continue_in_a_later_session(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(4)
    first = open_session(workspace)
    for _ in range(2):
        wait_for_card(first)
        first.submit(Kind.ACCEPT)
    first.close()
    second = open_session(workspace)
    assert current_id(second) == 3
    assert second.undo() is Kind.ACCEPT
    assert current_id(second) == 2
    second.close()
    third = open_session(workspace)
    assert current_id(third) == 2  # open again, and the first in the queue
    assert third.redo() is Kind.ACCEPT
    assert current_id(third) == 3
    assert third.progress.decided == 2


def test_undo_without_an_action_does_nothing(make_workspace: Any, open_session: SessionOpener) -> None:
    session = open_session(make_workspace(1))
    assert current_id(session) == 1
    assert session.undo() is None
    assert session.redo() is None
    assert current_id(session) == 1


def test_an_edit_is_an_accept_of_its_editor_with_one_annotator(
    make_workspace: Any, open_session: SessionOpener
) -> None:
    workspace = make_workspace(2)
    session = open_session(workspace)
    wait_for_card(session)
    done = session.edit("a woman without a hat", "hat")
    assert workspace.states() == {1: "superseded", 2: "open", done.child_id: "accepted"}
    assert session.progress.decided == 1
    assert session.progress.total == 2
    assert current_id(session) == 2
    assert session.undo() is Kind.EDIT
    assert current_id(session) == 1
    assert workspace.states() == {1: "open", 2: "open", done.child_id: "superseded"}
    assert session.redo() is Kind.EDIT
    assert workspace.states()[done.child_id] == "accepted"


def test_an_unchanged_edit_is_refused_and_the_card_stays(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(1)
    session = open_session(workspace)
    text = wait_for_card(session).card.text
    with pytest.raises(ValueError, match="unchanged"):
        session.edit(text)
    assert current_id(session) == 1
    assert workspace.events() == []


def test_going_back_changes_nothing(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(5)
    session = open_session(workspace)
    for _ in range(2):
        wait_for_card(session)
        session.submit(Kind.ACCEPT)
    assert current_id(session) == 3
    assert session.look_back()
    ready = wait_for_card(session)
    assert (ready.card.candidate_id, ready.origin, ready.leased) == (2, CardOrigin.HISTORY, False)
    assert ready.past is not None
    assert ready.past.kind is Kind.ACCEPT
    assert session.look_back()
    assert current_id(session) == 1
    assert not session.look_back()
    assert session.look_forward()
    assert current_id(session) == 2
    assert session.look_forward()
    assert current_id(session) == 3
    assert not session.look_forward()
    assert len(workspace.events()) == 2


def test_a_decision_after_going_back_replaces_the_vote(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(4)
    session = open_session(workspace)
    for _ in range(2):
        wait_for_card(session)
        session.submit(Kind.ACCEPT)
    wait_for_card(session)
    session.look_back()
    session.look_back()
    assert current_id(session) == 1
    session.submit(Kind.REJECT, Reason.GRATUITOUS)
    assert current_id(session) == 2  # on the way back to the work
    session.look_forward()
    assert current_id(session) == 3
    assert workspace.states()[1] == "rejected"
    assert workspace.events()[-1] == (1, "reject", "gratuitous")
    assert not workspace.rows("SELECT 1 FROM event WHERE late")
    assert session.undo() is Kind.REJECT
    assert current_id(session) == 1
    assert workspace.states()[1] == "accepted"  # the earlier vote stands again


def test_going_back_to_an_edit_shows_its_child(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(2)
    session = open_session(workspace)
    wait_for_card(session)
    child = session.edit("a woman without a hat").child_id
    wait_for_card(session)
    session.look_back()
    assert current_id(session) == child
    session.submit(Kind.REJECT, Reason.PRESENT)
    assert workspace.states()[child] == "rejected"


def test_skipped_cards_come_again_after_revisit(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(3)
    session = open_session(workspace)
    for kind in (Kind.SKIP, Kind.UNSURE, Kind.ACCEPT):
        wait_for_card(session)
        session.submit(kind)
    wait_for_end(session)
    summary = session.summary()
    assert (summary.fresh, summary.set_aside) == (0, 2)
    assert summary.states[State.ACCEPTED] == 1
    assert summary.decisions == {Kind.SKIP: 1, Kind.UNSURE: 1, Kind.ACCEPT: 1}
    session.revisit()
    assert current_id(session) == 1
    session.submit(Kind.SKIP)
    assert current_id(session) == 2
    session.submit(Kind.ACCEPT)
    wait_for_end(session)  # what was skipped again does not come again in the same round
    session.revisit()
    assert current_id(session) == 1


def test_notes_and_flags_keep_the_current_card(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(2)
    session = open_session(workspace)
    wait_for_card(session)
    session.note("look at the left")
    assert session.toggle_flag() is True
    assert current_id(session) == 1
    assert wait_for_card(session).card.notes == ("look at the left",)
    assert wait_for_card(session).card.flagged
    assert session.toggle_flag() is False
    assert session.undo() is Kind.NOTE
    assert current_id(session) == 1
    assert wait_for_card(session).card.notes == ()
    assert session.redo() is Kind.NOTE
    assert wait_for_card(session).card.notes == ("look at the left",)
    assert workspace.states()[1] == "open"


def test_undoing_a_note_on_a_settled_card_shows_it_and_the_queue_continues(
    make_workspace: Any, open_session: SessionOpener
) -> None:
    workspace = make_workspace(3)
    session = open_session(workspace)
    wait_for_card(session)
    session.submit(Kind.ACCEPT)
    wait_for_card(session)
    session.look_back()
    session.toggle_flag()
    session.look_forward()
    assert current_id(session) == 2
    assert session.undo() is Kind.FLAG
    ready = wait_for_card(session)
    assert (ready.card.candidate_id, ready.origin, ready.leased) == (1, CardOrigin.HISTORY, False)
    assert ready.past is not None
    assert ready.past.kind is Kind.ACCEPT
    assert workspace.rows("SELECT 1 FROM lease WHERE candidate_id = 1") == []
    assert session.look_forward()
    assert current_id(session) == 2
    session.submit(Kind.ACCEPT)
    assert workspace.rows("SELECT late FROM event WHERE candidate_id = 2") == [(0,)]


def test_a_found_card_opens_and_the_queue_continues_after_it(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(6)
    session = open_session(workspace)
    assert current_id(session) == 1
    matches = session.find("number 4")
    assert [match.candidate_id for match in matches] == [5]
    session.open(5)
    ready = wait_for_card(session)
    assert (ready.card.candidate_id, ready.origin, ready.leased) == (5, CardOrigin.SEARCH, True)
    session.submit(Kind.ACCEPT)
    assert current_id(session) == 1
    session.open(5)
    assert not wait_for_card(session).leased  # settled: nothing to hold
    assert session.look_forward()
    assert current_id(session) == 1
    for number in (1, 2, 3, 4, 6):
        assert current_id(session) == number
        session.submit(Kind.ACCEPT)
    wait_for_end(session)


@pytest.mark.parametrize("words", ['"', "(", "* -", "no:thing", "\x00", "' OR 1", "---"])
def test_odd_searches_have_no_match_and_raise_no_error(
    make_workspace: Any, open_session: SessionOpener, words: str
) -> None:
    session = open_session(make_workspace(2))
    assert session.find(words) == []


def test_edited_texts_can_be_found(make_workspace: Any, open_session: SessionOpener) -> None:
    session = open_session(make_workspace(2))
    wait_for_card(session)
    session.find("anything")
    child = session.edit("a rider without spectacles").child_id
    assert [match.candidate_id for match in session.find("spectacles")] == [child]


def test_audit_cards_are_blind(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(2, audit_rate=1.0)
    session = open_session(workspace, audit_share=1.0)
    ready = wait_for_card(session)
    assert ready.stream is Stream.AUDIT
    assert ready.hidden
    session.submit(Kind.ACCEPT)
    assert workspace.rows("SELECT stream, blind FROM event") == [("audit", 1)]
    wait_for_card(session)
    session.look_back()
    assert wait_for_card(session).hidden


def test_a_blind_session_is_blind_and_its_events_are_marked(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(1)
    session = open_session(workspace, blind=True)
    assert wait_for_card(session).hidden
    session.submit(Kind.ACCEPT)
    assert workspace.rows("SELECT stream, blind FROM event") == [("review", 1)]


def test_two_annotators_never_get_the_same_card(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(12)
    ana, ben = open_session(workspace, "ana", depth=1), open_session(workspace, "ben", depth=1)
    seen = []
    for _ in range(3):
        seen += [current_id(ana), current_id(ben)]
        ana.submit(Kind.ACCEPT)
        ben.submit(Kind.ACCEPT)
    assert len(set(seen)) == 6


def test_leaving_releases_all_cards(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(6)
    threads = set(threading.enumerate())
    session = open_session(workspace)
    wait_for_card(session)
    wait_for(lambda: len(workspace.rows("SELECT 1 FROM lease")) == 4)  # the shown one and three behind it
    session.close()
    session.close()
    assert workspace.rows("SELECT 1 FROM lease") == []
    assert set(threading.enumerate()) <= threads


def test_leases_are_renewed_while_a_card_is_shown(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace, clock = make_workspace(1), WallClock(time.time())
    session = open_session(workspace, wall_clock=clock, clock_check_seconds=0.01)
    wait_for_card(session)
    for _ in range(2):
        clock.advance(LEASE_SECONDS - 1)
        wait_for(lambda: workspace.rows("SELECT expires_at FROM lease") == [(clock() + LEASE_SECONDS,)])
    session.submit(Kind.ACCEPT)
    assert workspace.rows("SELECT late FROM event") == [(0,)]


def test_the_words_of_session_counts() -> None:
    counts = {Kind.UNSURE: 1, Kind.ACCEPT: 5_000, Kind.SKIP: 0}
    assert session_counts(counts) == ["5,000 accepted", "1 unsure"]
    assert session_counts(counts, glyphs=True) == ["✓ 5,000 accepted", "? 1 unsure"]
    assert session_counts({}) == []


def test_the_speed_does_not_count_breaks() -> None:
    pace = ThroughputMeter()
    pace.decided(Kind.ACCEPT, 10_000)
    pace.decided(Kind.ACCEPT, 3_000_000)
    assert pace.per_hour is None
    pace.decided(Kind.ACCEPT, 20_000)
    assert pace.per_hour == 120


def test_a_replaced_decision_counts_once_and_the_speed_is_the_same_everywhere(
    make_workspace: Any, open_session: SessionOpener
) -> None:
    workspace, clock = make_workspace(6), MonotonicClock()
    for _ in range(2):  # the second sitting goes on counting where the first one ended
        session = open_session(workspace, clock=clock)
        for _ in range(2):
            wait_for_card(session)
            clock.advance(1.5)
            session.submit(Kind.ACCEPT)
        assert session.look_back()
        session.submit(Kind.REJECT, Reason.SCOPE)
        assert session.summary().decisions == {Kind.ACCEPT: 1, Kind.REJECT: 1}
        shown = session.progress.per_hour
        session.close()
    (worker,) = read_progress(workspace.store).people
    assert (worker.decisions[Kind.ACCEPT], worker.decisions[Kind.REJECT]) == (2, 2)
    assert worker.speed.per_hour is not None
    assert shown == round(worker.speed.per_hour)
    with workspace.store.read() as connection:
        assert speeds(connection)["ana"].per_hour == worker.speed.per_hour
        (counted,) = overview(connection).people
    assert (counted.decisions["accept"], counted.decisions["reject"]) == (2, 2)


def test_the_card_of_a_source_without_an_image_folder_shows_how_to_add_one(make_workspace: Any) -> None:
    workspace = make_workspace(1)
    with workspace.store.read() as connection:
        card = load_card(connection, 1)
    folders = PictureFolders(workspace.root, {})
    pictures = ImageLoader(folders.locate, ThumbnailCache((8, 8)).get, folders.folders)
    problem = pictures.thumbnail(card.picture, pictures.locate(card.picture)).problem
    assert problem == "no image folder of small is known: negwb import FILE --pictures FOLDER"


def _row(workspace: Any, number: int) -> ListedCandidate:
    with workspace.store.read() as connection:
        return page_of(connection, [number])[0]


def test_a_row_of_a_list_is_decided_in_the_state_that_it_shows(
    make_workspace: Any, open_session: SessionOpener, join: Any
) -> None:
    workspace = make_workspace(6)
    session = open_session(workspace)
    assert current_id(session) == 1
    seen = {number: _row(workspace, number) for number in (1, 3, 4, 5)}
    decide = partial(session.decide_listed, picture=PictureShown.CELLS)
    assert decide(seen[3], Kind.ACCEPT).status.state is State.ACCEPTED
    assert decide(_row(workspace, 3), Kind.ACCEPT) is None, "it is decided so already"
    assert current_id(session) == 1, "the current card stays"
    decide(seen[1], Kind.REJECT, Reason.SCOPE)
    assert current_id(session) == 2, "it needs no decision any more"
    join(workspace, "ben").decide(4, Kind.REJECT, reason=Reason.PRESENT)
    join(workspace, "ben").edit(5, "a woman without a hat in a field")
    for number in (4, 5):
        with pytest.raises(CardChanged):
            decide(seen[number], Kind.ACCEPT)
    assert session.answers.refused.overtaken == 2
    assert workspace.rows("SELECT candidate_id, kind, late, picture FROM event WHERE actor = 'ana' ORDER BY seq") == [
        (3, "accept", 0, "cells"),
        (1, "reject", 0, "cells"),
    ]
    assert session.undo() is Kind.REJECT
    assert current_id(session) == 1


def test_audit_and_settled_rows_are_not_decided_in_a_list(
    make_workspace: Any, open_session: SessionOpener, join: Any
) -> None:
    audit = make_workspace(1, audit_rate=1.0)
    with pytest.raises(RecordError, match="blind"):
        open_session(audit).decide_listed(_row(audit, 1), Kind.ACCEPT, picture=PictureShown.NONE)
    settled = make_workspace(1)
    with open_store(settled.root / "curation.db") as store:
        begin_session(store, "dan", version="test", role=Role.ADJUDICATOR)
    dan = open_session(settled, "dan", role=Role.ADJUDICATOR)
    dan.decide_listed(_row(settled, 1), Kind.ACCEPT, picture=PictureShown.NONE)
    dan.decide_listed(_row(settled, 1), Kind.REJECT, Reason.SCOPE, picture=PictureShown.NONE)
    with pytest.raises(RecordError, match="an adjudicator has settled"):
        open_session(settled).decide_listed(_row(settled, 1), Kind.ACCEPT, picture=PictureShown.NONE)
    assert [kind for _, kind, _ in settled.events()] == ["accept", "adjudicate"]
    assert audit.events() == []
