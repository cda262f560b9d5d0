"""Tests that P(present) and P(acceptable) are distinguished wherever verdicts show, with their origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from support.workspaces import Case, WorkspaceFixture, build

from curation_db.enums import Question
from curation_db.review.candidates import NewVerdict, insert_verdicts
from curation_db.search.candidate_history import JudgeVerdictRow, timeline
from curation_db.search.cards import Card, load_card
from curation_db.search.rows import ListedCandidate, page_of
from workbench.annotation import wording
from workbench.annotation.plain import text as plain
from workbench.tui.rendering import candidate_rows, card_content, history
from workbench.tui.screens.modals import judges

FINE = 0.91


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkspaceFixture]:
    """Candidates: 1 absent and acceptable; 2 disputed on acceptability; 3 unclear; 4 no verdict on presence."""
    created = build(tmp_path_factory.mktemp("two") / "workspace", [Case(concept="hat", judges=()) for _ in range(4)])
    screen_text = [
        *((1, judge, Question.PRESENT, 0.07) for judge in "ab"),
        *((1, judge, Question.ACCEPTABLE, FINE) for judge in "ab"),
        *((2, judge, Question.ACCEPTABLE, p) for judge, p in (("a", 0.2), ("b", 0.8))),
        *((2, judge, Question.PRESENT, 0.07) for judge in "ab"),
        *((3, "a", question, None) for question in Question),
        (4, "a", Question.ACCEPTABLE, FINE),
    ]
    # fmt: off
    opinions = [
        NewVerdict(
            candidate_id=number, judge=judge, model="m", prompt_version="v1", question=question, p=p, label_mass=0.98,
            method="logprobs", prior=0.61, seed=7,
        )
        for number, judge, question, p in screen_text
    ]
    # fmt: on
    with created.store.write() as connection:
        insert_verdicts(connection, opinions)
    yield created
    created.store.close()


def card(workspace: WorkspaceFixture, number: int) -> Card:
    with workspace.store.read() as connection:
        return load_card(connection, number)


def row(workspace: WorkspaceFixture, number: int) -> ListedCandidate:
    with workspace.store.read() as connection:
        return page_of(connection, [number])[0]


@pytest.mark.parametrize("width", [24, 30, 60])
def test_every_verdict_row_names_its_question(workspace: WorkspaceFixture, width: int) -> None:
    rows = [line.plain for line in card_content.opinion_rows(card(workspace, 1), width)]
    assert [each.split()[-1] for each in rows] == ["absent", "absent", "fine", "fine"]
    if width == 60:
        assert [("P(hat)" in each, "P(fine)" in each) for each in rows] == [(True, False)] * 2 + [(False, True)] * 2
    unclear = [line.plain for line in card_content.opinion_rows(card(workspace, 3), width)]
    assert unclear[0] != unclear[1]
    assert unclear[1].endswith("fine? unclear")


def test_the_disputed_question_is_named(workspace: WorkspaceFixture) -> None:
    def remark(number: int) -> str:
        return card_content.opinion_rows(card(workspace, number), 60)[-1].plain

    assert "disagree" not in remark(1)
    assert remark(2) == "⚠ they disagree on whether it is fine"
    assert wording.disagreement((Question.PRESENT,)) == "they disagree"
    assert wording.disagreement(tuple(Question)) == "they disagree on both"
    assert wording.disagreement(()) == ""


def test_the_verdicts_in_full_show_the_origin_of_their_numbers(workspace: WorkspaceFixture) -> None:
    screen_text = judges.verdicts_content(card(workspace, 1)).plain
    for expected in ("P(present) = 0.0700", "P(acceptable) = 0.9100", "asked: present", "asked: acceptable"):
        assert screen_text.count(expected) == 2
    origin = "from log-probabilities · yes/no tokens: 98% of probability · 0.61 for a blank image · seed 7"
    assert screen_text.count(origin) == 4


def test_missing_values_are_not_shown(workspace: WorkspaceFixture) -> None:
    bare = replace(card(workspace, 1).verdicts[0], method=None, label_mass=None, prior=None, seed=None)
    assert "blank" not in judges._opinion(bare).plain
    assert wording.origin(None, None, None, None) == ()
    assert wording.origin("a \x1b[31mword", None, None, 0) == ("a [31mword", "seed 0")


def test_lists_distinguish_the_two_questions(workspace: WorkspaceFixture) -> None:
    def cell(number: int) -> str:
        return candidate_rows.cells_of(row(workspace, number), ["judges"])[0].plain

    assert cell(1) == ".07 .07"
    assert cell(2) == ".07 .07 ⚠"
    assert cell(4) == "fine .91"
    assert row(workspace, 2).conflict
    assert not row(workspace, 1).conflict
    screen_text = candidate_rows.detail(row(workspace, 1), narrow=False).plain
    assert "a .07 absent" in screen_text
    assert "a .91 fine" in screen_text


def test_a_yes_has_another_colour_for_each_question(workspace: WorkspaceFixture) -> None:
    """A yes on presence counts against a candidate, a yes on acceptability for it."""
    (fine,) = (
        span.style
        for span in candidate_rows.cells_of(row(workspace, 4), ["judges"])[0].spans
        if ".91" in "fine .91"[span.start : span.end]
    )
    assert fine == card_content.GOOD


def test_the_revealed_verdicts_show_both_questions(workspace: WorkspaceFixture) -> None:
    assert wording.judge_reveal(card(workspace, 1)) == (
        "the judges: a 0.07 · b 0.07 — P(present); a 0.91 · b 0.91 — P(the caption is fine)"
    )
    assert wording.judge_reveal(card(workspace, 3)) == ""


def test_plain_mode_names_the_questions(workspace: WorkspaceFixture) -> None:
    there, fine = card(workspace, 1).verdicts[0], card(workspace, 1).verdicts[-1]
    beside = "(from log-probabilities, yes/no tokens: 98% of probability, 0.61 for a blank image, seed 7)"
    assert plain.verdict_line(there, "hat") == f"a: hat is present with probability 0.07 {beside}"
    assert plain.verdict_line(fine, "hat") == f"b: the caption is fine with probability 0.91 {beside}"
    unclear = [plain.verdict_line(each, "hat") for each in card(workspace, 3).verdicts]
    assert [each.partition(" (")[0] for each in unclear] == [
        "a: unclear whether hat is present",
        "a: unclear whether the caption is fine",
    ]


def test_history_names_the_questions(workspace: WorkspaceFixture) -> None:
    with workspace.store.read() as connection:
        screen_text = timeline(connection, 1, workspace.root / "exports")
    lines = "\n".join(history.plain_lines(screen_text, 160))
    assert lines.count(".07 absent") == lines.count(".91 fine") == 2
    assert lines.count("from log-probabilities · yes/no tokens: 98% of probability") == 4
    expected = [moment.content for moment in screen_text.entries if isinstance(moment.content, JudgeVerdictRow)]
    assert {(each.method, each.label_mass, each.prior, each.seed) for each in expected} == {("logprobs", 0.98, 0.61, 7)}


def test_each_mark_is_of_one_question(workspace: WorkspaceFixture) -> None:
    with workspace.store.read() as connection:
        marked = connection.execute(text("SELECT candidate_id FROM candidate_mark WHERE mark = 'conflict'")).scalars()
        assert list(marked) == [2]
