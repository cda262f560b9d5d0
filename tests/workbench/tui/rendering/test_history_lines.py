"""A long text and a long list of events are cut in the middle, so that what matters stays."""

from __future__ import annotations

from curation_db.enums import State
from curation_db.search.candidate_history import (
    CandidateOrigin,
    ExportMembership,
    FamilyMember,
    RelatedCandidates,
    Timeline,
    TimelineEntry,
)
from workbench.tui.rendering.history import plain_lines


def timeline(text: str, exports: int) -> Timeline:
    member = FamilyMember(1, "k", "coco", RelatedCandidates.THIS, text, None, State.ACCEPTED, audit=False)
    origin = TimelineEntry("2026-01-01T10:00:00", 1, CandidateOrigin("coco", "1.jpg", None, "P1", "model", None))
    frozen = [
        TimelineEntry("2026-01-02T10:00:00", 1, ExportMembership(f"set-{number}", number, "accepted"))
        for number in range(exports)
    ]
    return Timeline(1, (member,), (origin, *frozen))


def test_a_long_text_keeps_its_cue_and_its_concept() -> None:
    text = f"{'a very long beginning ' * 40}and a man not wearing a hat{' and a long end' * 40}"
    shown = " ".join(" ".join(plain_lines(timeline(text, 0), 100)).split())
    assert "not wearing a hat" in shown
    assert "…" in shown
    assert len(shown) < 700


def test_a_short_text_is_not_cut() -> None:
    assert "a man not wearing a hat   #1   accepted" in plain_lines(timeline("a man not wearing a hat", 3), 100)[0]
    assert not any("left out" in line for line in plain_lines(timeline("no hat", 900), 100))


def test_the_middle_of_many_events_is_left_out() -> None:
    shown = plain_lines(timeline("no hat", 1_500), 120)
    text = "\n".join(shown)
    assert "✳ imported" in text, "the origin stays"
    assert "set-98 " in text
    assert "set-99 " not in text
    assert "… 501 entries are left out here …" in text
    assert "set-599 " not in text
    assert "set-600 " in text
    assert "set-1499 " in text
    assert len([line for line in shown if "frozen into this set" in line]) == 999
