"""Tests of Adjudicate with real keys: votes are hidden before the decision, which is stored and can be undone."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import locked_record
from support.results import lines, until
from support.screen_sizes import SIZES
from support.workspaces import HOSTILE, Case, WorkspaceFixture, press, settled

from curation_db.enums import Kind, Reason, Role, Stream
from curation_db.events.annotators import begin_session
from curation_db.lint.linter import LintSettings
from curation_db.review.decisions import PresentationContext
from curation_db.storage.store import open_store
from workbench.commands.decide.curate import _check_role
from workbench.errors import UsageError
from workbench.tui.rendering.card_lines import QUESTIONS
from workbench.tui.screens.adjudicate import AdjudicateScreen, AdjudicationStage
from workbench.tui.screens.base.navigation import MainView
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.help import HelpScreen, KeyList
from workbench.workspace.layout import Workspace

SPEAKERS = ("benedetta", "chosaku")


@pytest.fixture
def disputed(make_workspace: Any, join: Any) -> WorkspaceFixture:
    """Create four candidates: two annotators disagree on the first three, the last has no votes."""
    workspace: WorkspaceFixture = make_workspace(4, overlap="2")
    first, second = (join(workspace, name) for name in SPEAKERS)
    for number in workspace.ids[:3]:
        first.note(number, "look at the left edge")
        first.decide(number, Kind.ACCEPT)
        second.decide(number, Kind.REJECT, reason=Reason.GRATUITOUS)
    appoint(workspace, "dan")
    return workspace


def appoint(workspace: WorkspaceFixture, name: str) -> None:
    """Give an annotator the role of adjudicator."""
    with open_store(workspace.root / "curation.db") as store:
        begin_session(store, name, version="test", role=Role.ADJUDICATOR)


async def enter(app: Any, pilot: Any) -> AdjudicateScreen:
    await settled(pilot)
    await pilot.press("d")
    await until(pilot, lambda: isinstance(app.screen, AdjudicateScreen))
    screen: AdjudicateScreen = app.screen
    await until(pilot, lambda: screen.shown is not None or screen._listed == [])
    await until(pilot, lambda: not screen._busy)
    return screen


async def press_here(pilot: Any, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await until(pilot, lambda: not getattr(pilot.app.screen, "_busy", False))


def open_at(workspace: WorkspaceFixture, open_app: Any, **content: Any) -> Any:
    return open_app(workspace, "dan", app={"workspace": Workspace(workspace.root)}, **content)


@pytest.mark.parametrize("size", SIZES)
async def test_votes_and_verdicts_are_hidden_until_the_decision(
    disputed: WorkspaceFixture, open_app: Any, size: tuple[int, int]
) -> None:
    app = open_at(disputed, open_app)
    async with app.run_test(size=size) as pilot:
        await enter(app, pilot)
        await until(pilot, lambda: "1 of 3" in lines(app))
        if size[1] > 24:
            await until(pilot, lambda: "look at the left edge" in lines(app))  # notes show, without names
        content = lines(app)
        assert app.screen.query_one("#picture-box").outer_size.width <= 0.46 * size[0]  # as in Curate
        assert any(question in content for question in QUESTIONS)
        for hidden in (*SPEAKERS, "judge-0", "gratuitous"):
            assert hidden not in content
        await press_here(pilot, "x", "p")
        assert "they disagreed because" in lines(app)
        assert len(disputed.rows("SELECT 1 FROM event WHERE kind = 'adjudicate'")) == 0, "not before the cause is told"
        await press_here(pilot, "g")
        await until(pilot, lambda: "VOTES" in lines(app))
        content = lines(app)
        for expected in (*SPEAKERS, "judge-0", "gratuitous", "guidelines"):
            assert expected in content
        assert disputed.rows(
            "SELECT candidate_id, verdict, reason, cause, role, blind, actor FROM event WHERE kind = 'adjudicate'"
        ) == [(1, "reject", "present", "guideline_gap", "adjudicator", 1, "dan")]
        assert disputed.states()[1] == "rejected"
        await press_here(pilot, "w")
        await until(pilot, lambda: "2 of 3" in lines(app))


@pytest.mark.long
async def test_undo_shows_the_card_again_and_the_screen_can_become_empty(
    disputed: WorkspaceFixture, open_app: Any
) -> None:
    app = open_at(disputed, open_app)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        screen = await enter(app, pilot)
        await press_here(pilot, "a", "s")
        assert screen.stage is AdjudicationStage.TALLY
        await press_here(pilot, "z")
        await until(pilot, lambda: screen.stage is AdjudicationStage.CARD and "1 of 3" in lines(app))
        assert disputed.states()[1] == "contested"
        await press_here(pilot, "z")
        await until(pilot, lambda: "no adjudication of this session to undo" in lines(app))
        await press_here(pilot, "a", "z")
        await until(pilot, lambda: "z is not an answer · esc cancels" in lines(app))
        await press_here(pilot, "escape", "x", "a")
        await until(pilot, lambda: "a is not an answer · esc cancels" in lines(app))
        assert screen.stage is AdjudicationStage.REASON
        await press_here(pilot, "escape", "space")
        await until(pilot, lambda: "2 of 3" in lines(app))
        await press_here(pilot, "a", "enter", "space", "a", "j", "space")
        await until(pilot, lambda: "1 of 1" in lines(app))
        await press_here(pilot, "a", "o", "enter")
        await until(pilot, lambda: "All settled: 3" in lines(app))
        assert disputed.states() == {1: "accepted", 2: "accepted", 3: "accepted", 4: "open"}
        assert disputed.rows("SELECT candidate_id, cause FROM event WHERE kind = 'adjudicate' ORDER BY seq") == [
            (1, "annotator_slip"),
            (2, None),
            (3, "subjective"),
            (1, "other"),
        ]
        await press_here(pilot, "a", "x", "e", "space")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        await press(pilot, "a")
        assert disputed.events()[-1] == (4, "accept", None), "the card waited"


async def test_an_edit_is_queued_for_annotators(disputed: WorkspaceFixture, open_app: Any) -> None:
    """The dialog counts against the limit of the model that will be trained."""
    app = open_at(disputed, open_app, checks=LintSettings(most_tokens=32))
    async with app.run_test(size=(120, 36)) as pilot:
        await enter(app, pilot)
        await pilot.press("e")
        await until(pilot, lambda: "edit the negated caption" in lines(app))
        assert "/32 tokens" in lines(app)
        await pilot.press(*" again", "enter")
        await until(pilot, lambda: isinstance(app.screen, AdjudicateScreen) and "2 of 3" in lines(app))
        assert disputed.states()[1] == "superseded"
        assert disputed.states()[5] == "open"
        await press_here(pilot, "z")
        await until(pilot, lambda: "1 of 3" in lines(app))
        assert disputed.states()[1] == "contested"


async def test_an_annotator_learns_how_to_become_adjudicator(disputed: WorkspaceFixture, open_app: Any) -> None:
    app = open_app(disputed, "ana", app={"workspace": Workspace(disputed.root)})
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("d")
        await until(pilot, lambda: "negwb adjudicate --role adjudicator" in lines(app))
        await pilot.press("g", "3")
        await until(pilot, lambda: "negwb adjudicate --role adjudicator" in lines(app))
        assert not isinstance(app.screen, AdjudicateScreen)


async def test_an_empty_screen_shows_the_next_steps(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    appoint(workspace, "dan")
    app = open_at(workspace, open_app)
    async with app.run_test(size=(80, 24)) as pilot:
        await enter(app, pilot)
        await until(pilot, lambda: "There is no disagreement to settle" in lines(app))
        assert 'overlap = "2+1"' in lines(app)
        await pilot.press("a", "x", "e", "i", "space", "z")
        await until(pilot, lambda: "There is no disagreement to settle" in lines(app))
        assert workspace.events() == []


@pytest.mark.long
@pytest.mark.usefixtures("old_names")
@pytest.mark.parametrize("size", SIZES)
async def test_hostile_texts_are_only_texts(
    make_workspace: Any, open_app: Any, join: Any, size: tuple[int, int]
) -> None:
    texts = list(HOSTILE.values())
    workspace = make_workspace(
        cases=[Case(caption=text, text=text, concept=text[:200], raw=text[:500]) for text in texts], overlap="2"
    )
    ben, cho = join(workspace, "[@click=app.quit]ben[/] \x1b[31m"), join(workspace, "cho \u202e[/x]")
    for number in workspace.ids:
        ben.note(number, HOSTILE["link"] + HOSTILE["escape"])
        ben.decide(number, Kind.ACCEPT)
        cho.decide(number, Kind.REJECT, reason=Reason.SCOPE)
    appoint(workspace, "dan")
    app = open_at(workspace, open_app)
    async with app.run_test(size=size) as pilot:
        screen = await enter(app, pilot)
        for at in range(len(texts)):
            await until(pilot, lambda at=at: f"{at + 1} of {len(texts)}" in lines(app))
            await press_here(pilot, "a", "t")
            await until(pilot, lambda: screen.stage is AdjudicationStage.TALLY and "[@click=app" in lines(app))
            await press_here(pilot, "enter")
        await until(pilot, lambda: "All settled" in lines(app))


async def test_a_busy_record_is_reported_and_nothing_is_decided(
    disputed: WorkspaceFixture, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.curating import locked_record

    from curation_db.storage import sqlite

    monkeypatch.setattr(sqlite, "_PRAGMAS", ("PRAGMA busy_timeout=50", "PRAGMA foreign_keys=ON"))
    app = open_at(disputed, open_app)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await enter(app, pilot)
        with locked_record(disputed.root):
            await press_here(pilot, "a", "g")
            await until(pilot, lambda: "is held by another process" in lines(app))
        assert disputed.states()[1] == "contested"
        await press_here(pilot, "a", "g")
        assert disputed.states()[1] == "accepted"


async def test_changed_audit_labels_are_listed(make_workspace: Any, open_app: Any, join: Any) -> None:
    workspace = make_workspace(2, audit_rate=1.0)
    ben = join(workspace, "ben")
    ben.decide(workspace.ids[0], Kind.ACCEPT, shown=PresentationContext(Stream.AUDIT, blind=True))
    ben.flip(workspace.ids[0], Kind.REJECT, reason=Reason.PRESENT)
    appoint(workspace, "dan")
    app = open_at(workspace, open_app)
    async with app.run_test(size=(120, 36)) as pilot:
        await enter(app, pilot)
        await press_here(pilot, "a", "s")
        await until(pilot, lambda: "changed later" in lines(app))
        assert workspace.rows("SELECT stream FROM event WHERE kind = 'adjudicate'") == [("audit",)]


async def test_the_app_can_start_with_adjudicate(disputed: WorkspaceFixture, open_app: Any) -> None:
    app = open_app(disputed, "dan", app={"workspace": Workspace(disputed.root), "start": MainView.ADJUDICATE})
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, AdjudicateScreen) and "1 of 3" in lines(app))
        await until(pilot, lambda: not app.screen._busy)
        await press_here(pilot, "a", "s", "escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        await press(pilot, "a")
        assert disputed.events()[-2:] == [(1, "adjudicate", None), (4, "accept", None)]


def test_the_command_needs_the_role(disputed: WorkspaceFixture, open_session: Any) -> None:
    _check_role(open_session(disputed, "dan"), MainView.ADJUDICATE)
    _check_role(open_session(disputed, "ana"), None)
    with pytest.raises(UsageError, match="only adjudicators") as content:
        _check_role(open_session(disputed, "ana"), MainView.ADJUDICATE)
    assert "--role adjudicator" in content.value.hint


async def test_a_refused_decision_counts_as_not_stored_until_it_is_repeated(
    disputed: WorkspaceFixture, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation_db.storage.sqlite._PRAGMAS", ("PRAGMA busy_timeout=50", "PRAGMA foreign_keys=ON"))
    app = open_at(disputed, open_app)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await enter(app, pilot)
        with locked_record(disputed.root):
            await press_here(pilot, "a", "s")
            await until(pilot, lambda: "held by another process" in lines(app))
        assert app.session.answers.refused.clauses == ["1 of 1 answer was refused and is not stored"]
        await press_here(pilot, "a", "s")
        await until(pilot, lambda: disputed.states()[1] == "accepted")
        await until(pilot, lambda: app.session.answers.refused.lost == 0)


@pytest.mark.long
async def test_one_decides_while_zooming_and_zoom_stays_for_the_next_cards(
    disputed: WorkspaceFixture, open_app: Any
) -> None:
    app = open_at(disputed, open_app)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await enter(app, pilot)
        await press_here(pilot, "i")
        await until(pilot, lambda: "001.png" in lines(app) and "esc leave zoom" in lines(app))
        assert "a accept" in lines(app)
        await press_here(pilot, "1", "h", "0")  # they zoom and move; no tab opens
        assert app.screen is screen
        await press_here(pilot, "x", "escape")
        await until(pilot, lambda: "001.png" in lines(app))
        await press_here(pilot, "x")
        for reason in ("p present", "r rest false", "esc cancel"):
            assert reason in lines(app)
        await press_here(pilot, "p")
        assert "g guideline gap" in lines(app)
        await press_here(pilot, "g")
        await until(pilot, lambda: "VOTES" in lines(app))
        await press_here(pilot, "enter")
        await until(pilot, lambda: screen.is_zoomed and "002.png" in lines(app))  # the next card is zoomed, too
        await press_here(pilot, "e")
        await until(pilot, lambda: "edit the negated caption" in lines(app))
        await pilot.press(*" again", "enter")
        await until(pilot, lambda: screen.is_zoomed and "003.png" in lines(app))
        await press_here(pilot, "question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        shown_keys = str(app.screen.query_one(KeyList).render())
        assert "One screen pixel for each image pixel" in shown_keys
        assert "Final: true of the image" in shown_keys
        await press_here(pilot, "escape", "q")
        await until(pilot, lambda: not screen.is_zoomed and "CONCEPT" in lines(app))
        assert app.screen is screen
        await press_here(pilot, "a", "t", "enter")
        await until(pilot, lambda: "All settled: 2" in lines(app))
    assert disputed.rows("SELECT candidate_id, kind, zoomed FROM event WHERE actor = 'dan' AND uid = act") == [
        (1, "adjudicate", 1),
        (2, "edit", 1),
        (3, "adjudicate", 1),
    ]
