"""Tests of Browse with real keys: filter, sort, select, open, decide in bulk; results are read from the record."""

from __future__ import annotations

import tomllib
from array import array
from typing import Any

import pytest
from support.browsing import Open, browse, entered, listed, mixed, opened, type_view, whole
from support.curating import lines, shown, until
from support.screen_sizes import SIZES
from support.workspaces import HOSTILE, Case, settled

from curation_db.enums import Kind, Reason, Stream
from curation_db.lint import index
from curation_db.lint.index import LintIndexer
from curation_db.review.decisions import PresentationContext
from curation_db.search.query_language import Sort
from workbench.tui.screens.base.navigation import MainView
from workbench.tui.screens.browse import BrowseScreen
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.modals.bulk import BulkModal
from workbench.tui.widgets.lists.record_table import RecordTable
from workbench.workspace.layout import Workspace


@pytest.mark.parametrize("size", SIZES)
async def test_a_card_of_a_typed_view_opens(make_workspace: Any, open_app: Open, size: Any) -> None:
    workspace = make_workspace(cases=mixed())
    app = opened(open_app, workspace)
    async with app.run_test(size=size, notifications=True) as pilot:
        await entered(pilot)
        assert listed(app) == list(range(9, 0, -1))
        await pilot.press("slash", *"dog sort:oldest")
        await pilot.press("enter")
        await until(pilot, lambda: listed(app) == [3, 6, 9])
        await whole(pilot)
        assert "a park without a dog 3" in lines(app)
        assert "○ open" in lines(app)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen) and shown(app) == 6)
        await pilot.press("a")
        await until(pilot, lambda: workspace.states()[6] == "accepted")
        await pilot.press("b")
        await whole(pilot)
        assert (listed(app), browse(app).table.chosen) == ([3, 6, 9], 6), "where one was"
        assert "✓ accepted" in lines(app)
    assert workspace.events() == [(6, "accept", None)]


async def test_an_invalid_query_is_reported_and_the_list_stays(make_workspace: Any, open_app: Open) -> None:
    app = opened(open_app, make_workspace(cases=mixed()))
    async with app.run_test(size=(120, 36)) as pilot:
        await entered(pilot)
        await type_view(pilot, "stat:open")
        await until(pilot, lambda: "stat: is not known; did you mean state?" in lines(app))
        assert len(listed(app)) == 9
        await type_view(pilot, "concept:giraffe")
        await until(pilot, lambda: "no concept:giraffe in this record; known: hat, dog" in lines(app))
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, BrowseScreen) and listed(app) == [])
        await pilot.press("slash", "escape")
        assert browse(app).table.has_focus


async def test_completion_offers_the_values_of_the_record(make_workspace: Any, open_app: Open) -> None:
    app = opened(open_app, make_workspace(cases=mixed()))
    async with app.run_test(size=(120, 36)) as pilot:
        await entered(pilot)
        await pilot.press("slash")
        await until(pilot, lambda: bool(browse(app)._known.get("concept")))
        await pilot.press(*"con")
        await until(pilot, lambda: "concept:" in lines(app))
        await pilot.press(*"cept:h")
        await until(pilot, lambda: browse(app).bar.typed._suggestion == "concept:hat")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: listed(app) == [8, 7, 5, 4, 2, 1])


async def test_reversing_the_order_keeps_the_cursor_on_its_candidate(make_workspace: Any, open_app: Open) -> None:
    app = opened(open_app, make_workspace(cases=mixed()))
    async with app.run_test(size=(120, 36)) as pilot:
        await entered(pilot)
        await pilot.press("j", "j")
        at = browse(app).table.chosen
        for sort in [*browse(app).view.sorts[1:], Sort.NEWEST]:
            await pilot.press("s")
            await until(pilot, lambda sort=sort: browse(app).view.sort is sort)  # type: ignore[misc]
            await whole(pilot)
            await until(pilot, lambda: browse(app).table.chosen == at)
        await pilot.press("S", "S")
        await whole(pilot)
        assert browse(app).view.sort is Sort.TEXT


async def test_rows_are_selected_by_keys_and_by_mouse(make_workspace: Any, open_app: Open) -> None:
    app = opened(open_app, make_workspace(cases=mixed()))
    async with app.run_test(size=(120, 36)) as pilot:
        await entered(pilot)
        table = browse(app).table
        await pilot.press("space", "j", "J", "J")
        assert sorted(table.selection.of(table.ids)) == [5, 6, 7, 9]
        await until(pilot, lambda: "4 selected" in lines(app))
        await pilot.press("asterisk")
        assert table.selection.count(table.ids) == 9
        await pilot.press("escape")
        assert not table.selection
        await pilot.click(RecordTable, offset=(2, 2))
        await pilot.click(RecordTable, offset=(20, 3))
        await pilot.click(RecordTable, offset=(20, 4), shift=True)
        assert sorted(table.selection.of(table.ids)) == [6, 7, 8]
        await pilot.press("G", "space", "home")
        assert (table.cursor, 1 in table.selection) == (0, True)


async def test_a_bulk_decision_is_undone_with_one_key(make_workspace: Any, open_app: Open) -> None:
    workspace = make_workspace(cases=mixed())
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await entered(pilot)
        await type_view(pilot, "hat")
        await until(pilot, lambda: len(listed(app)) == 6)
        await whole(pilot)
        await pilot.press("space", "space", "A")
        await until(pilot, lambda: isinstance(app.screen, BulkModal) and "type 2 and enter" in lines(app))
        await pilot.press("2", "enter")
        await until(pilot, lambda: sorted(workspace.states().values()).count("accepted") == 2)
        await whole(pilot)
        await pilot.press("X")  # without a selection the whole view is decided
        await until(pilot, lambda: isinstance(app.screen, BulkModal) and "because" in lines(app))
        await pilot.press("p")
        await until(pilot, lambda: "type 6 and enter" in lines(app) or "type 4 and enter" in lines(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, BrowseScreen))
        await pilot.press("z")
        await until(pilot, lambda: set(workspace.states().values()) == {"open"})
        await pilot.press("Z")
        await until(pilot, lambda: sorted(workspace.states().values()).count("accepted") == 2)
        await whole(pilot)


async def test_facets_count_the_view_and_narrow_it(make_workspace: Any, open_app: Open) -> None:
    app = opened(open_app, make_workspace(cases=mixed()))
    async with app.run_test(size=(120, 36)) as pilot:
        await entered(pilot)
        await pilot.press("f")
        await until(pilot, lambda: "open" in lines(app) and browse(app).panel.term is not None)
        for _ in range(6):
            await pilot.press("right")
        await until(pilot, lambda: browse(app).panel.field == "concept" and browse(app).panel.term is not None)
        await pilot.press("j", "enter")
        await until(pilot, lambda: str(browse(app).view) == "concept:dog" and listed(app) == [9, 6, 3])
        await whole(pilot)
        await until(pilot, lambda: browse(app).panel.term is not None)
        await pilot.press("enter")
        await until(pilot, lambda: str(browse(app).view) == "" and len(listed(app)) == 9)
        await whole(pilot)
        await pilot.press("escape")
        assert not browse(app).panel.display


async def test_saved_views_are_offered_again(make_workspace: Any, open_app: Open) -> None:
    workspace = make_workspace(cases=mixed())
    settings = workspace.root / "negwb.toml"
    settings.write_text(settings.read_text() + "\n# comment\n")
    app = opened(open_app, workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await entered(pilot)
        await type_view(pilot, 'is:conflict "no hat"')
        await until(pilot, lambda: len(listed(app)) == 6)
        await pilot.press("W", *"[hats]", "enter")
        await until(pilot, lambda: isinstance(app.screen, BrowseScreen))
        assert "# comment" in settings.read_text()
        assert tomllib.loads(settings.read_text())["browse"]["views"] == {"[hats]": 'is:conflict "no hat"'}
        await type_view(pilot, "")
        await until(pilot, lambda: len(listed(app)) == 9)
        await pilot.press("w")
        await until(pilot, lambda: "[hats]" in lines(app) and "judges disagree" in lines(app))
        await pilot.press("enter")
        await until(pilot, lambda: len(listed(app)) == 6)
        await whole(pilot)


async def test_marks_are_computed_while_the_list_is_shown(make_workspace: Any, open_app: Open) -> None:
    workspace = make_workspace(cases=mixed())
    app = opened(open_app, workspace)
    async with app.run_test(size=(220, 40)) as pilot:
        await entered(pilot)
        await until(pilot, lambda: LintIndexer(workspace.store).progress.done)
        await until(pilot, lambda: "minimal-edit +1" in lines(app))
        await type_view(pilot, "lint:in-sibling")
        await until(pilot, lambda: listed(app) == [9, 6, 3])
        await whole(pilot)
    assert set(workspace.rows("SELECT mark FROM candidate_mark")) == {
        ("in-sibling",),
        ("minimal-edit",),
        (index.CONFLICT,),
    }


async def test_an_undecided_audit_card_hides_the_verdicts(make_workspace: Any, open_app: Open) -> None:
    app = opened(open_app, make_workspace(cases=mixed(3), audit_rate=1.0))
    async with app.run_test(size=(120, 36)) as pilot:
        await entered(pilot)
        assert "blind" in lines(app)
        assert ".90" not in lines(app)
        await type_view(pilot, "is:conflict")
        await until(pilot, lambda: listed(app) == [])
        await whole(pilot)


async def test_an_undecided_audit_card_hides_the_decisions(make_workspace: Any, open_app: Open, join: Any) -> None:
    workspace = make_workspace(2, audit_rate=1.0, overlap="2")
    join(workspace, "ben").decide(
        1, Kind.REJECT, reason=Reason.SCOPE, shown=PresentationContext(Stream.AUDIT, blind=True)
    )
    app = opened(open_app, workspace)
    async with app.run_test(size=(160, 40)) as pilot:
        await entered(pilot)
        await until(pilot, lambda: "hidden until it is decided" in lines(app))
        await pilot.press("end")
        await until(pilot, lambda: "needs more" in lines(app))
        assert not [word for word in ("ben", "scope") if word in lines(app)]


async def test_browsing_leases_no_card(make_workspace: Any, open_session: Any) -> None:
    from workbench.tui.app import NegwbApp

    workspace = make_workspace(4)
    session = open_session(workspace, prefetch=False)
    app = NegwbApp(session, workspace=Workspace(workspace.root), start=MainView.BROWSE, view="hat sort:oldest")
    async with app.run_test(size=(120, 36)) as pilot:
        await whole(pilot)
        assert listed(app) == [1, 2, 3, 4]
        await pilot.press("j", "j")
        assert workspace.rows("SELECT count(*) FROM lease") == [(0,)]
        await pilot.press("escape")
        await settled(pilot)
        assert workspace.rows("SELECT count(*) > 0 FROM lease") == [(1,)]
        await pilot.press("b")
        await whole(pilot)
        assert browse(app).table.chosen == 3


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_is_plain_text(make_workspace: Any, open_app: Open, size: Any) -> None:
    cases = [
        Case(caption=text, text=f"{text} {n}", concept=text[:60], raw=text) for n, text in enumerate(HOSTILE.values())
    ]
    workspace = make_workspace(cases=cases)
    app = opened(open_app, workspace)
    async with app.run_test(size=size, notifications=True) as pilot:
        await entered(pilot)
        await pilot.press("f")
        for _ in range(6):
            await pilot.press("right")
        await until(pilot, lambda: browse(app).panel.term is not None)
        await pilot.press("f")
        for _ in cases:
            await pilot.press("j")
            await whole(pilot)
            painted = lines(app)
            assert not {"\x1b", "\x07", "\x00", "\u202e", "\u2067"} & set(painted)
        assert "[not a dog]" in lines(app)
        await type_view(pilot, '"[/x] here"')
        await until(pilot, lambda: len(listed(app)) == 1)
        await type_view(pilot, 'concept:"[@click=app.quit]y"')
        await until(pilot, lambda: "no concept:[@click=app.quit]y" in lines(app))
    assert app.return_code in (0, None)


# -- the table alone ----------------------------------------------------------------------------------------------


async def test_only_the_visible_rows_of_a_long_list_are_loaded(make_workspace: Any, open_app: Open) -> None:
    workspace = make_workspace(2)
    asked: list[int] = []
    app = opened(open_app, workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await entered(pilot)
        table = browse(app).table
        rows = {row.id: row for row in table._load([1, 2])}

        def load(ids: Any) -> list[Any]:
            from dataclasses import replace

            asked.extend(ids)
            return [replace(rows[1], id=number, text=f"row {number} without a hat") for number in ids]

        table._load = load  # type: ignore[method-assign]
        table.begin()
        table.extend(array("q", range(1, 100_001)))
        table.finish("")
        await pilot.press("end")
        await until(pilot, lambda: "row 100000 without" in lines(app))
        await pilot.press("pageup", "home")
        await until(pilot, lambda: "row 1 without" in lines(app))
        assert len(asked) < 1_000


async def test_rows_of_a_replaced_list_are_dropped(make_workspace: Any, open_app: Open) -> None:
    import threading

    workspace = make_workspace(3)
    app = opened(open_app, workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await entered(pilot)
        table, go_on, asked = browse(app).table, threading.Event(), threading.Event()
        real = table._load

        def slow(ids: Any) -> list[Any]:
            asked.set()
            go_on.wait(60)
            return real(ids)

        table._load = slow  # type: ignore[method-assign]
        table.begin()
        table.extend(array("q", [3, 2]))
        await until(pilot, asked.is_set)
        table.begin()
        table.extend(array("q", [1]))
        go_on.set()
        await until(pilot, lambda: table.row is not None)
        assert [set(page) for page in table._pages.values()] == [{1}]


async def test_decisions_and_their_reasons_are_shown_in_full(make_workspace: Any, open_app: Open, join: Any) -> None:
    workspace = make_workspace(2)
    join(workspace, "ben").decide(2, Kind.REJECT, reason=Reason.REST_FALSE)
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await entered(pilot)
        await type_view(pilot, "by:ben reason:rest_false")
        await until(pilot, lambda: listed(app) == [2])
        await whole(pilot)
        await until(pilot, lambda: "ben reject rest false" in lines(app) and "✗ rejected" in lines(app))
