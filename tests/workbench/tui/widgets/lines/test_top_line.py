"""Tests of the first line: what it shows at which width, and what each count means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.curating import lines, running, until, wait_for_card
from support.workspaces import press, settled
from textual.content import Content

from curation_db.enums import Kind, Reason, Role, Stream
from curation_db.review.bulk import decide_in_bulk
from curation_db.review.decisions import DecisionWriter
from workbench.annotation.progress_counter import ThroughputSnapshot
from workbench.annotation.session import AnnotationSession
from workbench.tui.app import NegwbApp
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.status import StatusContent, StatusLine
from workbench.tui.widgets.lines.top_line import TabLabel, fitted
from workbench.workspace.layout import Workspace

SessionOpener = Callable[..., AnnotationSession]
NAMES = (
    "curate",
    "browse",
    "adjudicate",
    "progress",
    "history",
    "guidelines",
    "settings",
    "generate",
    "runs",
    "report",
)
TABS = tuple(
    TabLabel(str(at)[-1], name, is_open=name == "curate", call=f"app.open_tab('{name}')")
    for at, name in enumerate(NAMES, 1)
)
PROGRESS = ThroughputSnapshot(decided=1_204, total=24_000, per_hour=312, streak=(Kind.ACCEPT, Kind.REJECT), own=24)
STATUS = StatusContent("ana", work="P1 absence", order="conflict", progress=PROGRESS, goal=200)


def status_line(status: StatusContent, width: int, tabs: tuple[TabLabel, ...] = TABS) -> Content:
    line = StatusLine()
    line.show(status)
    line.tabs = tabs
    return fitted(*line.parts(), width)


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (
            200,
            " 1 curate  2 browse 3 adjudicate 4 progress 5 history 6 guidelines 7 settings 8 generate 9 runs 0 report"
            "  streak ✓✗ · ana · 312 decisions/h · you 24 of 200 ░░░░░░░░ · all 1,204 of 24,000",
        ),
        (
            118,
            " 1 curate  2 browse 3 adjudicate 4 progress 5 history 6 7 8 9 0"
            "  you 24 of 200 ░░░░░░░░ · all 1,204 of 24,000",
        ),
        (78, " 1 curate  2 3 4 5 6 7 8 9 0  you 24 of 200 ░░░░░░░░ · all 1,204 of 24,000"),
        (58, " 1 curate  2 3 4 5 6 7 8 9 0  you 24 · all 1,204 of 24,000"),
        (44, " 1 curate   you 24 · all 1,204 of 24,000"),
        (18, " 1 curate   you 24"),
        (8, " 1 cura…"),
    ],
)
def test_a_narrow_line_leaves_out_the_least_important_parts(width: int, expected: str) -> None:
    line = status_line(STATUS, width).plain
    assert len(line) == width
    assert " ".join(line.split()).startswith(" ".join(expected.split()))


def test_warnings_and_the_place_stay_in_a_narrow_line() -> None:
    warned = StatusContent("ana", progress=PROGRESS, warning="card just appeared: key ignored")
    hasty = StatusContent("ana", progress=ThroughputSnapshot(3, 9, 9_000, (Kind.ACCEPT,), hasty=True))
    audit = StatusContent("ana", place="history", audit=True, progress=ThroughputSnapshot(own=3, audit=(3, 97)))
    assert "⚠ card just appeared: key ignored · you 24" in status_line(warned, 58).plain
    assert "⚠ too fast to have seen the image" in status_line(hasty, 118).plain
    assert "decisions/h" not in status_line(hasty, 200).plain
    assert "⚠ too fast" in status_line(hasty, 40).plain
    assert status_line(audit, 58).plain.endswith("history · you 3 · audit 3 of 97")
    assert "audit" in status_line(audit, 32).plain


@pytest.mark.parametrize(
    ("own", "bar"),
    [(0, "you 0 of 8 ░░░░░░░░"), (7, "you 7 of 8 ▓▓▓▓▓▓▓░"), (8, "you 8 ✓ goal 8"), (9, "you 9 ✓ goal 8")],
)
def test_the_bar_of_the_goal_is_full_once_it_is_reached(own: int, bar: str) -> None:
    status = StatusContent("ana", progress=ThroughputSnapshot(own=own, total=9), goal=8)
    assert f"{bar} · all 0 of 9" in status_line(status, 118).plain


def test_a_click_on_a_tab_opens_it_unless_it_is_open() -> None:
    calls = {
        str(span.style.meta["@click"])
        for span in status_line(STATUS, 200).spans
        if not isinstance(span.style, str) and span.style.meta
    }
    assert calls == {tab.call for tab in TABS if not tab.is_open}


def test_the_header_of_a_side_screen_marks_its_tab_and_the_place_in_it() -> None:
    bar = HeaderBar()
    bar.show("progress", "speed", right="as of now")
    assert fitted(*bar.parts(), 60).plain == "negwb  ·  progress  ·  speed" + " " * 23 + "as of now"
    bar.tabs = tuple(TabLabel(tab.key, tab.name, is_open=tab.name == "progress") for tab in TABS)
    assert " 4 progress · speed " in fitted(*bar.parts(), 120).plain
    assert fitted(*bar.parts(), 34).plain == " 4 progress · speed      as of now"


async def test_digits_and_clicks_open_the_tabs_of_the_line(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app: NegwbApp = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with running(app, (120, 36)) as pilot:
        await settled(pilot)
        tabs = "2 browse 4 progress 5 history 6 guidelines 7 settings 8 generate 9 runs 0 report"
        assert lines(app).startswith(f"  1 curate  {tabs} "), "only an adjudicator has the tab 3"
        await pilot.click(StatusLine, offset=(lines(app).index("6 guidelines") + 3, 0))
        await until(pilot, lambda: " 5 history  6 guidelines  7 " in lines(app))
        await pilot.press("0")
        await until(pilot, lambda: " 9 runs  0 report " in lines(app))
        await pilot.press("1")
        await until(pilot, lambda: lines(app).startswith("  1 curate  2 browse"))
        await press(pilot, "a")
    assert workspace.events() == [(1, "accept", None)]


# -- the counts -----------------------------------------------------------------------------------------------------


def own(session: AnnotationSession) -> int:
    return session.progress.own


def test_own_counts_the_decided_candidates_of_this_session(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(12, overlap="2")
    first = open_session(workspace)
    wait_for_card(first)
    first.submit(Kind.ACCEPT)
    first.close()
    session = open_session(workspace)
    for kind, expected in ((Kind.ACCEPT, 1), (Kind.SKIP, 1), (Kind.UNSURE, 2)):
        wait_for_card(session)
        session.submit(kind)
        assert own(session) == expected
    assert session.progress.decided == 0, "each needs a second annotator"
    session.look_back()
    session.submit(Kind.REJECT, Reason.SCOPE)  # in place of the unsure
    assert own(session) == 2
    session.undo()
    assert own(session) == 2, "the decision before it is in force again"
    session.undo()
    assert own(session) == 1
    session.redo()
    assert own(session) == 2
    session.look_forward()
    wait_for_card(session)
    session.edit("a woman without any hat at all")
    assert own(session) == 3, "an edit and the accept of its text are one decision"
    session.undo()
    assert own(session) == 2
    decide_in_bulk(session.store, session.actor, workspace.ids[8:12], Kind.ACCEPT)
    session.refresh()
    assert own(session) == 6
    session.undo()
    assert own(session) == 2
    assert sum(session.summary().decisions.values()) == 3, "the skip counts in the summary"


def test_own_counts_an_edit_once_and_an_adjudication(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(3)
    session = open_session(workspace, role=Role.ADJUDICATOR)
    wait_for_card(session)
    session.edit("a woman without any hat at all")
    assert (own(session), session.progress.decided) == (1, 1)
    DecisionWriter(session.store, session.actor).adjudicate(workspace.ids[1], Kind.ACCEPT)
    session.refresh()
    assert own(session) == 2
    assert session.summary().decisions == {Kind.EDIT: 1, Kind.ACCEPT: 1}


def test_a_bulk_decision_counts_each_candidate_in_the_summary(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(5)
    session = open_session(workspace)
    decide_in_bulk(session.store, session.actor, workspace.ids[:4], Kind.REJECT, Reason.SCOPE)
    assert session.summary().decisions == {Kind.REJECT: 4}


async def test_an_audit_card_shows_the_progress_of_the_audit(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4, audit_rate=1.0)
    app: NegwbApp = open_app(workspace, only=Stream.AUDIT)
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        assert lines(app).splitlines()[0].endswith("you 0 · audit 0 of 4 ")
        await press(pilot, "a", "u")
        assert lines(app).splitlines()[0].endswith("you 2 · audit 1 of 4 ")
        await press(pilot, "z", "z")
        assert lines(app).splitlines()[0].endswith("you 0 · audit 0 of 4 ")


async def test_the_goal_is_named_when_it_is_reached(make_workspace: Any, open_app: Any) -> None:
    app: NegwbApp = open_app(make_workspace(4), goal=2)
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        assert "you 0 of 2 ░░░░░░░░" in lines(app)
        await press(pilot, "a")
        assert "you 1 of 2 ▓▓▓▓░░░░" in lines(app)
        assert "goal reached" not in lines(app)
        await press(pilot, "x", "p")
        assert "✗ rejected: present · z undo · goal reached: 2" in lines(app)
        assert "you 2 ✓ goal 2" in lines(app)
        await press(pilot, "a")
        assert app.screen.query_one(ActionLine).text == "✓ accepted · z undo"
