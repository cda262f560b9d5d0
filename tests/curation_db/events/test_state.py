"""The fold of a candidate's events, by examples and against a slow oracle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_db.enums import Kind, Role, State
from curation_db.events.state import CandidateStatus, FoldEvent, Overlap, effective_events, fold


def history(*words: str) -> list[FoldEvent]:
    """Return events from texts such as "ana:accept", "ben:undo 1", "eva:adjudicate reject"; numbered from 1."""
    events = []
    for seq, word in enumerate(words, 1):
        actor, _, rest = word.partition(":")
        kind, _, more = rest.partition(" ")
        role = {"eva": Role.ADJUDICATOR, "policy@1": Role.POLICY}.get(actor, Role.ANNOTATOR)
        events.append(
            FoldEvent(
                seq,
                actor,
                role,
                Kind(kind),
                verdict=Kind(more) if kind in {"adjudicate", "flip"} else None,
                undo_of=int(more) if kind == "undo" else None,
            )
        )
    return events


@pytest.mark.parametrize(
    ("overlap", "words", "state", "wanted"),
    [
        ("1", [], State.OPEN, 1),
        ("1", ["ana:accept"], State.ACCEPTED, 0),
        ("1", ["ana:reject"], State.REJECTED, 0),
        ("1", ["ana:unsure"], State.UNSURE, 1),
        ("1", ["ana:skip"], State.OPEN, 1),
        ("1", ["ana:flag", "ana:note"], State.OPEN, 1),
        ("1", ["ana:accept", "ana:reject"], State.REJECTED, 0),  # a change of mind replaces the vote
        ("1", ["ana:accept", "ben:reject"], State.CONTESTED, 0),  # a late second vote is kept
        ("1", ["ana:edit"], State.SUPERSEDED, 0),
        ("1", ["ana:edit", "ana:undo 1"], State.OPEN, 1),
        ("1", ["ana:withdraw"], State.SUPERSEDED, 0),
        ("1", ["ana:accept", "ana:undo 1"], State.OPEN, 1),
        ("1", ["ana:accept", "ana:undo 1", "ana:undo 2"], State.ACCEPTED, 0),
        ("1", ["ana:accept", "ana:undo 1", "ana:undo 2", "ana:undo 1"], State.OPEN, 1),
        ("1", ["ana:accept", "eva:requeue"], State.OPEN, 1),
        ("1", ["ana:accept", "eva:adjudicate reject"], State.REJECTED, 0),
        ("1", ["eva:adjudicate accept", "eva:undo 1"], State.OPEN, 1),
        ("1", ["ana:accept", "ana:flip reject"], State.REJECTED, 0),
        ("1", ["policy@1:accept"], State.ACCEPTED, 0),
        ("1", ["policy@1:accept", "policy@1:withdraw"], State.OPEN, 1),
        ("1", ["policy@1:accept", "ana:reject"], State.REJECTED, 0),  # a person outvotes a policy
        ("2", ["ana:accept"], State.NEEDS_MORE, 1),
        ("2", ["ana:accept", "ben:reject"], State.CONTESTED, 0),
        ("3", ["ana:accept", "ben:accept"], State.NEEDS_MORE, 1),
        ("3", ["ana:accept", "ben:accept", "eva:reject"], State.ACCEPTED, 0),
        ("2+1", ["ana:accept", "ben:accept"], State.ACCEPTED, 0),
        ("2+1", ["ana:accept", "ben:reject"], State.NEEDS_MORE, 1),
        ("2+1", ["ana:accept", "ben:reject", "eva:reject"], State.REJECTED, 0),
        ("2+1", ["ana:unsure", "ben:accept"], State.NEEDS_MORE, 1),
    ],
)
def test_state_and_how_many_more_are_wanted(overlap: str, words: list[str], state: State, wanted: int) -> None:
    standing = fold(history(*words), Overlap.parse(overlap))
    assert (standing.state, standing.wanted) == (state, wanted)


def test_voters_are_not_served_again_and_skipped_cards_come_later() -> None:
    standing = fold(history("ana:accept", "ben:skip", "ben:unsure", "cho:skip", "cho:reject"), Overlap.parse("3"))
    assert standing.voters == {"ana", "cho"}
    assert standing.passes == {"ben": 2}


def test_undone_flags_and_notes_do_not_count() -> None:
    standing = fold(history("ana:flag", "ana:note", "ben:note", "ana:undo 1", "ben:undo 3"), Overlap.parse("1"))
    assert (standing.flagged, standing.notes) == (False, 1)


@pytest.mark.parametrize("words", ["0", "", "two", "1+x", "-1", "2+", "100"])
def test_an_invalid_overlap_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="overlap"):
        Overlap.parse(words)


def is_effective(event: FoldEvent, events: list[FoldEvent]) -> bool:
    """The literal definition of an effective event: no effective undo reverts it."""
    return not any(other.undo_of == event.seq and is_effective(other, events) for other in events)


_KINDS = st.sampled_from([k for k in Kind if k not in {Kind.UNDO, Kind.ADJUDICATE, Kind.FLIP}])


@st.composite
def histories(draw: st.DrawFn) -> list[FoldEvent]:
    events: list[FoldEvent] = []
    for seq in range(1, draw(st.integers(0, 14)) + 1):
        actor = draw(st.sampled_from(["ana", "ben", "cho"]))
        undo_of = draw(st.integers(1, seq - 1)) if seq > 1 and draw(st.booleans()) else None
        kind = Kind.UNDO if undo_of else draw(_KINDS)
        events.append(FoldEvent(seq, actor, Role.ANNOTATOR, kind, undo_of=undo_of))
    return events


@given(histories())
def test_effective_events_match_their_definition(events: list[FoldEvent]) -> None:
    assert effective_events(events) == [e for e in events if e.kind is not Kind.UNDO and is_effective(e, events)]


@given(histories(), st.sampled_from(["1", "2", "3", "2+1"]))
def test_the_fold_is_sound_for_every_history(events: list[FoldEvent], overlap: str) -> None:
    standing = fold(events, Overlap.parse(overlap))
    assert standing == fold(reversed(events), Overlap.parse(overlap))  # the order of reading does not matter
    assert standing.accepts + standing.rejects == len(standing.voters)
    assert not standing.voters & standing.passes.keys()
    closed = standing.state in {State.ACCEPTED, State.REJECTED, State.CONTESTED, State.SUPERSEDED}
    assert (standing.wanted == 0) == closed


@given(histories())
def test_taking_everything_back_leaves_a_fresh_candidate(events: list[FoldEvent]) -> None:
    taken_back = list(events)
    for event in effective_events(events):
        taken_back.append(FoldEvent(len(taken_back) + 1, "eva", Role.ADJUDICATOR, Kind.UNDO, undo_of=event.seq))
    assert fold(taken_back, Overlap.parse("1")) == CandidateStatus()
