"""Tests of deciding about the rows of Browse: by keys, only about rows on the screen, undone with one key."""

from __future__ import annotations

import threading
from array import array
from typing import Any

import pytest
from support.browsing import browse, entered, listed, mixed, opened, type_view, whole
from support.curating import lines, until
from textual.events import Key

from curation_db.enums import Kind, Reason
from workbench.tui.screens.browse import BrowseScreen
from workbench.tui.screens.modals.bulk import BulkModal
from workbench.tui.widgets.lines.answer_lines import AnswerLines
from workbench.tui.widgets.lines.key_hints import KeyHints
from workbench.tui.widgets.lists.record_table import RecordTable
from workbench.tui.widgets.picture import PicturePane

HOUR = 3600.0


def done(app: Any) -> str:
    """Return the line above the keys."""
    return str(browse(app).action_line.text)


class SlowRead:
    """Holds back the reads of lists."""

    def __init__(self, app: Any) -> None:
        self._screen = browse(app)
        self._real = self._screen._ask
        self._go_on = threading.Event()
        self._screen._ask = self._ask

    def _ask(self, *args: Any) -> None:
        self._go_on.wait(60)
        self._real(*args)

    def release(self) -> None:
        self._screen._ask = self._real
        self._go_on.set()


async def test_rows_are_decided_in_place(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=mixed())
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await entered(pilot)
        await type_view(pilot, "state:open sort:oldest")
        await until(pilot, lambda: listed(app) == list(range(1, 10)))
        await whole(pilot)
        await pilot.press("a")
        await until(pilot, lambda: "✓ accepted · z undo" in done(app))
        assert (browse(app).table.chosen, listed(app)) == (1, list(range(1, 10))), "the row stays under the cursor"
        assert "▸    ✓ accepted" in lines(app)
        assert "1 decided here · f5 refresh" in lines(app)
        await pilot.press("a")
        await until(pilot, lambda: "accepted already" in done(app))
        await pilot.press("j", "x")
        answers = browse(app).query_one(AnswerLines)
        await until(pilot, lambda: answers.display and "p present" in lines(app) and "esc cancel" in lines(app))
        await pilot.press("j", "a")  # no answers: nothing moves, nothing is decided
        assert browse(app).table.chosen == 2
        assert answers.display
        for key in "az2":
            await pilot.press(key)
            await until(pilot, lambda key=key: f"{key} is not an answer · esc cancels" in lines(app))
        await pilot.press("escape", "x", "p")
        await until(pilot, lambda: "✗ rejected: present" in done(app))
        assert not answers.display
        await pilot.press("j", "u")
        await until(pilot, lambda: workspace.states()[3] == "unsure")
        await pilot.press("r")
        await until(pilot, lambda: listed(app) == list(range(4, 10)))
        await whole(pilot)
        assert "decided here" not in lines(app)
    assert workspace.events() == [(1, "accept", None), (2, "reject", "present"), (3, "unsure", None)]
    assert workspace.rows("SELECT DISTINCT picture, elapsed_ms, late FROM event WHERE candidate_id = 1") == [
        ("cells", None, 0)
    ]


async def test_keys_typed_ahead_are_applied_in_order(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=mixed())
    app = opened(open_app, workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await entered(pilot)
        for key in ("a", "j", "x", "s", "j", "u", "z", "a"):
            app.post_message(Key(key, key))
        await until(pilot, lambda: len(workspace.events()) == 5)
    assert workspace.events() == [
        (9, "accept", None),
        (8, "reject", "scope"),
        (7, "unsure", None),
        (7, "undo", None),
        (7, "accept", None),
    ]


async def test_a_key_decides_no_dimmed_row(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=mixed())
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await entered(pilot)
        slow = SlowRead(app)
        await type_view(pilot, "dog")
        assert len(listed(app)) == 9, "the old rows stay"
        assert "a man with no hat 8" in lines(app)
        assert "searching" in lines(app)
        for keys in (["a"], ["u"], ["x", "p"], ["space"], ["J"], ["ctrl+a"], ["A"], ["X"]):
            await pilot.press(*keys)
            assert isinstance(app.screen, BrowseScreen)
            assert not browse(app).asks_question
        assert not browse(app).memory.selection
        assert "is still loading" in done(app)
        await pilot.press("j")  # the cursor moves, and comes to the same candidate in the new list
        await pilot.press("j", "j")
        slow.release()
        await until(pilot, lambda: listed(app) == [9, 6, 3])
        assert browse(app).table.chosen == 6
        await whole(pilot)
        await pilot.press("x")
        slow = SlowRead(app)
        browse(app).show_view(browse(app).view, at=6)
        assert not browse(app).asks_question, "a question about a row of the old list is closed"
        await pilot.press("p")
        slow.release()
        await pilot.pause()
    assert workspace.events() == []


async def test_a_row_that_has_just_appeared_is_not_decided(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(60)
    app = opened(open_app, workspace, guard_seconds=HOUR)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.takes_input)
        await pilot.press("b")
        await whole(pilot)
        await until(pilot, lambda: browse(app)._tracked == 60)
        for keys in (["a"], ["u"], ["x", "p"], ["j", "a"]):
            await pilot.press(*keys)
            await until(pilot, lambda: "key ignored" in done(app))
            browse(app).action_line.clear()
            assert isinstance(app.screen, BrowseScreen)
        assert workspace.events() == []
        guard = app.session.card_visibility
        guard._seen_since -= 2 * HOUR  # the rows on the screen have been there for long enough
        guard._dropped_at = None
        await pilot.press("k", "j", "a")
        await until(pilot, lambda: workspace.events() == [(59, "accept", None)])
        await pilot.press("pagedown", "a")
        await until(pilot, lambda: "key ignored" in done(app))
        assert len(workspace.events()) == 1


async def test_a_row_that_is_still_loading_is_not_decided(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(3)
    app = opened(open_app, workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await entered(pilot)
        table, go_on = browse(app).table, threading.Event()
        real = table._load

        def slow(ids: Any) -> list[Any]:
            go_on.wait(60)
            return real(ids)

        table._load = slow  # type: ignore[method-assign]
        table.begin()
        table.extend(array("q", [2, 1]))
        await pilot.press("a", "x")
        assert not browse(app).asks_question
        assert "just appeared" in done(app)
        go_on.set()
        await whole(pilot)
    assert workspace.events() == []


async def test_a_row_that_others_have_decided_meanwhile_is_shown_first(
    make_workspace: Any, open_app: Any, join: Any
) -> None:
    workspace = make_workspace(3)
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await entered(pilot)
        join(workspace, "ben").decide(3, Kind.REJECT, reason=Reason.SCOPE)
        await pilot.press("a")
        await until(pilot, lambda: "another decision has changed this row" in lines(app))
        await until(pilot, lambda: "✗ rejected" in lines(app))
        assert workspace.events() == [(3, "reject", "scope")]
        await pilot.press("a")
        await until(pilot, lambda: workspace.states()[3] == "contested")


async def test_single_and_bulk_decisions_are_undone(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=mixed())
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await entered(pilot)
        await pilot.press("a", "G", "x", "p")
        await until(pilot, lambda: len(workspace.events()) == 2)
        await pilot.press("k", "ctrl+a")
        await until(pilot, lambda: "9 selected" in lines(app))
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, BulkModal) and "because" in lines(app))
        await pilot.press("d")
        await until(pilot, lambda: "type 8 and enter" in lines(app))
        await pilot.press("8", "enter")
        await until(pilot, lambda: isinstance(app.screen, BrowseScreen))
        await until(pilot, lambda: lines(app).count("✗ rejected") >= 9)
        assert len(listed(app)) == 9
        await pilot.press("z")
        await until(pilot, lambda: "undone: ✗ reject (duplicate) of 8 cards" in done(app))
        await pilot.press("z")
        await until(
            pilot, lambda: "undone: ✗ reject (present) of card 1" in done(app) and browse(app).table.chosen == 1
        )
        await pilot.press("z")
        await until(pilot, lambda: browse(app).table.chosen == 9)
        await until(pilot, lambda: set(workspace.states().values()) == {"open"})
        await until(pilot, lambda: lines(app).count("○ open") >= 9)
        await pilot.press("z")
        await until(pilot, lambda: "nothing to undo" in done(app))
        await pilot.press("Z")
        await until(pilot, lambda: "redone: ✓ accept of card 9" in done(app) and "▸    ✓ accepted" in lines(app))


async def test_a_click_on_a_row_selects_it_and_a_click_on_a_column_sorts(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=mixed())
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await entered(pilot)
        await pilot.click(RecordTable, offset=(25, 3))
        assert browse(app).table.chosen == 7
        for x, order in ((25, "sort:text"), (25, "sort:-text"), (7, "sort:state"), (65, "sort:conflict")):
            await pilot.click(RecordTable, offset=(x, 0))
            await until(pilot, lambda order=order: str(browse(app).view) == order)  # type: ignore[misc]
            await whole(pilot)
            assert browse(app).table.chosen == 7
        assert "P(present) ↓" in lines(app)
        await pilot.press("I")
        await until(pilot, lambda: "P(present) ↑" in lines(app) and "conflict first, reversed" in lines(app))
        await whole(pilot)
        await pilot.press("x")
        await until(pilot, lambda: browse(app).asks_question)
        await pilot.click(RecordTable, offset=(25, 1))
        assert not browse(app).asks_question, "the question was about another row"
        await pilot.press("p")
        await pilot.pause()
    assert workspace.events() == []


async def test_the_image_of_the_row_is_beside_the_list(make_workspace: Any, open_app: Any) -> None:
    app = opened(open_app, make_workspace(cases=mixed()))
    async with app.run_test(size=(120, 36)) as pilot:
        await entered(pilot)
        pane = browse(app).query_one(PicturePane)
        box = browse(app).query_one("#picture-box")
        await until(pilot, lambda: pane.thumbnail is not None and "009.png" in lines(app))
        await pilot.press("j")
        assert "008.png" in lines(app)
        await until(pilot, lambda: pane.thumbnail is not None and pane.thumbnail.image is not None)
        await pilot.press("f")
        assert not box.display, "the facets take its place"
        await pilot.press("f")
        await pilot.press("i")
        assert not box.display
        await pilot.press("i")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: app.size.width == 80)
        assert box.display, "chosen by the annotator"


@pytest.mark.long
async def test_earlier_queries_come_back_with_the_up_arrow(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=mixed())
    app = opened(open_app, workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await entered(pilot)
        for query in ("hat", "dog sort:oldest", "hat"):
            await type_view(pilot, query)
            await whole(pilot)
        await until(pilot, lambda: browse(app)._history.queries == ("hat", "dog sort:oldest"))
    app = opened(open_app, workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await entered(pilot)
        await until(pilot, lambda: bool(browse(app)._history.queries))
        await pilot.press("slash", *"ca", "up", "up", "up")
        assert browse(app).bar.typed.value == "dog sort:oldest"
        await pilot.press("down", "down")
        assert browse(app).bar.typed.value == "ca"
        await pilot.press("up", "up", "enter")
        await until(pilot, lambda: listed(app) == [3, 6, 9])
        await pilot.press("slash", "down")
        assert browse(app).table.has_focus
        assert browse(app).query_one(KeyHints)
