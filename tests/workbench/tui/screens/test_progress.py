"""Tests of Progress: every page at both sizes, new decisions without a key, hostile names."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import text
from support.results import lines, until
from support.screen_sizes import SIZES
from support.workspaces import HOSTILE, Case, press, settled

from curation_db.enums import Kind, Reason, Stream
from curation_db.review.decisions import PresentationContext
from curation_db.stats.intervals import Interval
from curation_db.stats.progress import read_progress
from curation_db.stats.targets import PRESETS
from workbench.console.number_format import decimal
from workbench.reports.progress_report import hours_text
from workbench.tui.app import NegwbApp
from workbench.tui.rendering.bars import share_bar, whisker
from workbench.tui.rendering.progress import ProgressPage, page_lines
from workbench.tui.screens import progress as progress_module
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.progress import ProgressScreen
from workbench.workspace.layout import Workspace

EXPECTED = {
    "pace": "time left (1)",
    "decisions": "rejections in force",
    "balance": "share of the accepted",
    "agreement": "votes in force",
    "judges": "against the blind audit",
    "calibration": "CALIBRATION",
}


def opened(open_app: Any, workspace: Any) -> NegwbApp:
    app: NegwbApp = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    return app


def shows(app: NegwbApp, words: str) -> bool:
    return isinstance(app.screen, ProgressScreen) and words in lines(app)


def decide(reviewer: Any, workspace: Any, *, every: int = 1) -> None:
    """Accept all candidates except every third, which is rejected."""
    for at, number in enumerate(workspace.ids[::every]):
        shown = PresentationContext(
            Stream.AUDIT if at % 2 else Stream.REVIEW, blind=bool(at % 2), elapsed_ms=4_000 + at
        )
        kind, reason = (Kind.REJECT, Reason.PRESENT) if at % 3 == 2 else (Kind.ACCEPT, None)
        reviewer.decide(number, kind, reason=reason, shown=shown)


@pytest.mark.parametrize("size", SIZES)
async def test_every_page_opens_by_key_and_the_card_stays(
    make_workspace: Any, open_app: Any, join: Any, size: Any
) -> None:
    workspace = make_workspace(9, overlap="3")
    for name in ("ben", "cho"):
        decide(join(workspace, name), workspace)
    app = opened(open_app, workspace)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("p")
        for page, words in EXPECTED.items():
            await until(pilot, lambda words=words: shows(app, words))
            top, tabs, border, *_ = (line for line in lines(app).splitlines() if line.strip())
            assert f"▸{page}◂" in tabs
            assert not {page} & {*top.split(), *border.split()}, "the page has its name once"
            await pilot.press("right")
        await until(pilot, lambda: shows(app, EXPECTED["pace"]))
        await pilot.press("left", "j", "pagedown", "k", "pageup")
        await until(pilot, lambda: shows(app, EXPECTED["calibration"]))
        await pilot.press("escape", "p")
        await until(pilot, lambda: shows(app, EXPECTED["calibration"]))  # the page is remembered
        await pilot.press("6", "4", "question_mark")
        await until(pilot, lambda: "Show the next page" in lines(app))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
    assert len(workspace.events()) == 18


@pytest.mark.parametrize("size", SIZES)
async def test_keys_choose_the_judge_whose_calibration_is_shown(
    make_workspace: Any, open_app: Any, join: Any, size: Any
) -> None:
    workspace = make_workspace(9, overlap="3")
    decide(join(workspace, "ben"), workspace)
    with workspace.store.write() as connection:  # the labels are those of an audit set
        connection.execute(text("UPDATE candidate SET audit = 1, audit_rate = 1.0"))
    app = opened(open_app, workspace)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("p", "n")
        await until(pilot, lambda: shows(app, "the page calibration shows judges"))
        await pilot.press("left")
        await until(pilot, lambda: shows(app, "1 of 2  judge-0  present?"))
        assert "share = P" in lines(app)
        assert "Brier" in lines(app)
        assert {"●", "▲", "▼"} & set(lines(app))
        await pilot.press("n")
        await until(pilot, lambda: shows(app, "2 of 2  judge-1  present?"))
        await pilot.press("f2")  # the other theme
        await until(pilot, lambda: shows(app, "2 of 2  judge-1  present?"))
        await pilot.press("n")
        await until(pilot, lambda: shows(app, "1 of 2  judge-0"))
        await pilot.press("N")
        await until(pilot, lambda: shows(app, "2 of 2  judge-1"))
        await pilot.press("r")
        await until(
            pilot, lambda: shows(app, "as of now") and "2 of 2  judge-1" in lines(app)
        )  # the judge is remembered


async def test_a_count_requested_while_one_runs_follows_it(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status line does not stay at "counting" if the running count finds nothing new."""
    go_on, counts = threading.Event(), []

    def slow(store: Any, targets: Any, unless: tuple[int, int] | None) -> Any:
        counts.append(unless)
        if unless is not None:
            go_on.wait(60)
        return count(store, targets, unless)

    count = progress_module._count
    monkeypatch.setattr(progress_module, "_count", slow)
    monkeypatch.setattr(progress_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(progress_module, "_PAUSE_FACTOR", 0.0)
    app = opened(open_app, make_workspace(5))
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("p")
        await until(pilot, lambda: shows(app, "as of now") and len(counts) > 1)
        await pilot.press("r")
        await until(pilot, lambda: shows(app, "counting …"))
        go_on.set()
        await until(pilot, lambda: shows(app, "as of now"))


async def test_decisions_of_others_appear_without_a_key(
    make_workspace: Any, open_app: Any, join: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(progress_module, "_PAUSE_FACTOR", 0.0)
    workspace = make_workspace(5)
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("p")
        await until(pilot, lambda: shows(app, "0 of 5 decided"))
        ben = join(workspace, "ben")
        ben.decide(workspace.ids[4], Kind.ACCEPT)
        await until(pilot, lambda: shows(app, "1 of 5 decided"))
        screen = app.screen
        await pilot.press("question_mark")  # below another screen, Progress does not poll
        await until(pilot, lambda: app.screen is not screen)
        assert isinstance(screen, ProgressScreen)
        assert screen._timer is not None
        assert not screen._timer._active.is_set()
        await pilot.press("escape")
        ben.decide(workspace.ids[3], Kind.ACCEPT)
        await until(pilot, lambda: shows(app, "2 of 5 decided"))
        monkeypatch.setattr(progress_module, "_PAUSE_FACTOR", 1e6)
        await pilot.press("r")
        await until(pilot, lambda: shows(app, "2 of 5 decided") and "as of now" in lines(app))


async def test_tabs_take_clicks(make_workspace: Any, open_app: Any) -> None:
    app = opened(open_app, make_workspace(2))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("p")
        await until(pilot, lambda: shows(app, "0 of 2 decided"))
        await pilot.click("#tabs", offset=(20, 0))
        await until(pilot, lambda: shows(app, EXPECTED["balance"]))


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_words_are_only_text(make_workspace: Any, open_app: Any, join: Any, size: Any) -> None:
    text = " ".join(progress[:40] for progress in HOSTILE.values())
    workspace = make_workspace(
        cases=[Case(concept=progress[:200], raw=text) for progress in HOSTILE.values()], overlap="2"
    )
    with workspace.store.write() as connection:
        connection.exec_driver_sql("UPDATE verdict SET judge = judge || ?, model = ?", (text, text))
    for name in ("[/x] [@click=app.quit]", "[31mred name"):
        decide(join(workspace, name), workspace)
    app = opened(open_app, workspace)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("p")
        for words in EXPECTED.values():
            await until(pilot, lambda words=words: shows(app, words))
            assert not {"\x1b", "\u202e", "\x07"} & set(lines(app))
            await pilot.press("right")
        await press(pilot, "escape", "a")
    assert app.return_code in (None, 0)


@pytest.mark.parametrize("width", [76, 100, 112, 116, 196])
@pytest.mark.parametrize("page", ProgressPage)
def test_no_line_is_wider_than_the_screen(make_workspace: Any, join: Any, page: ProgressPage, width: int) -> None:
    workspace = make_workspace(12, overlap="3")
    for name in ("ben", "a name that is much longer than any column", "cho", "dan"):
        decide(join(workspace, name), workspace)
    progress = read_progress(workspace.store, PRESETS["negrefcocog"], resamples=10)
    for line in page_lines(page, progress, width):
        assert line.cell_length <= width or line.plain.startswith("⚠ Kappa"), line.plain


@pytest.mark.parametrize("page", [ProgressPage.PACE, ProgressPage.DECISIONS, ProgressPage.AGREEMENT])
def test_a_long_name_is_whole_where_there_is_room_and_apart_from_the_figures(
    make_workspace: Any, join: Any, page: ProgressPage
) -> None:
    workspace = make_workspace(6, overlap="2", audit_rate=1.0)
    name = "scripted-annotator"
    for each in (name, "ben"):
        decide(join(workspace, each), workspace)
    progress = read_progress(workspace.store, PRESETS["negrefcocog"], resamples=10)
    wide = [line.plain for line in page_lines(page, progress, 140)]
    assert any(line.startswith(f"{name} ") for line in wide)
    narrow = [line.plain for line in page_lines(page, progress, 60) if line.plain.startswith("scripted-")]
    assert narrow
    assert all(line[line.index("…") + 1] == " " for line in narrow if "…" in line)


def test_an_empty_record_has_every_page(make_workspace: Any) -> None:
    progress = read_progress(make_workspace(1).store, PRESETS["negrefcocog"], resamples=10)
    for page in ProgressPage:
        assert page_lines(page, progress, 76)


def test_bars_and_numbers() -> None:
    assert share_bar(0.5, 10).plain == "▓▓▓▓▓░░░░░"
    assert share_bar(0.001, 10, target=0.45).plain == "▓░░░┃░░░░░"
    assert share_bar(None, 4).plain == "░░░░"
    assert whisker(Interval(0.5, 0.25, 0.75), 9).plain == "··──●──··"
    assert whisker(Interval(float("nan"), 0, 1), 3).plain == "···"
    assert [decimal(value) for value in (0.5, -0.25, 1.0, -1.0, float("nan"), 0.999)] == [
        ".50",
        "-.25",
        "1.00",
        "-1.00",
        "–",
        "1.00",
    ]
    assert [hours_text(hours) for hours in (0, 0.001, 0.5, 2.25, 123.4)] == [
        "0 min",
        "< 1 min",
        "30 min",
        "2 h 15 min",
        "123 h",
    ]
