"""Tests of bulk decisions with real keys: preview, confirmation by number, undo with one key."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import locked_record, shown
from support.results import lines, until
from support.screen_sizes import SIZES
from support.workspaces import press, settled

from curation_db.enums import Kind
from curation_db.review.bulk import BulkDone
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.modals.bulk import BulkModal


async def open_modal(app: Any, pilot: Any, ids: list[int], kind: Kind) -> list[BulkDone | None]:
    results: list[BulkDone | None] = []
    await settled(pilot)
    await app.push_screen(BulkModal(app.session, app.actions, ids, kind), results.append)
    await until(pilot, lambda: "checking the selected" not in lines(app))
    return results


@pytest.mark.parametrize("size", SIZES)
async def test_the_number_confirms_and_z_undoes_the_bulk_decision(
    make_workspace: Any, open_app: Any, size: Any
) -> None:
    workspace = make_workspace(8)
    app = open_app(workspace)
    async with app.run_test(size=size, notifications=True) as pilot:
        results = await open_modal(app, pilot, workspace.ids[:6], Kind.REJECT)
        assert "Reject 6 cards because" in lines(app)
        await pilot.press("q", "g")
        await until(pilot, lambda: "Reject 6 cards: gratuitous" in lines(app))
        assert "6  will be rejected" in lines(app)
        await pilot.press(*"60", "enter")
        await until(pilot, lambda: "that is not 6" in lines(app))
        assert workspace.events() == []
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        assert [(each.changed if each else None) for each in results] == [6]
        assert workspace.events() == [(number, "reject", "gratuitous") for number in workspace.ids[:6]]
        await until(pilot, lambda: "6 cards rejected — z undoes all of them" in lines(app))
        await until(pilot, lambda: shown(app) == workspace.ids[6])
        await press(pilot, "z")
        await until(pilot, lambda: "undone: ✗ reject (gratuitous) of 6 cards" in lines(app))
        assert set(workspace.states().values()) == {"open"}
        await press(pilot, "Z")
        assert list(workspace.states().values()).count("rejected") == 6
        assert "redone: ✗ reject (gratuitous) of 6 cards" in lines(app)
        await press(pilot, "z", "a")
        assert len(workspace.events()) == 6 * 4 + 1


async def test_skipped_candidates_are_listed_and_escape_changes_nothing(
    make_workspace: Any, open_app: Any, join: Any
) -> None:
    workspace = make_workspace(5)
    ben = join(workspace, "ben")
    ben.decide(workspace.ids[3], Kind.ACCEPT)
    app = open_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        results = await open_modal(app, pilot, [*workspace.ids, 99], Kind.ACCEPT)
        content = lines(app)
        assert "Accept 4 cards of the 6 selected" in content
        assert "1  already in that state" in content
        assert "1  no longer in the record" in content
        await pilot.press("4", "escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        assert results == [None]
        assert len(workspace.events()) == 1


async def test_a_refusal_is_one_line(make_workspace: Any, open_app: Any, join: Any) -> None:
    workspace = make_workspace(3)
    join(workspace, "ben")
    app = open_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_modal(app, pilot, workspace.ids, Kind.REQUEUE)
        assert "only an adjudicator can reopen candidates" in lines(app)


async def test_an_empty_bulk_decision_shows_the_reason(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(3, audit_rate=1.0)
    app = open_app(workspace, only=None, audit_share=1.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_modal(app, pilot, workspace.ids, Kind.ACCEPT)
        assert "There is nothing to accept here" in lines(app)
        assert "3  in the blind audit" in lines(app)


async def test_a_refused_bulk_decision_counts_as_one_answer_not_stored(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation_db.storage.sqlite._PRAGMAS", ("PRAGMA busy_timeout=50", "PRAGMA foreign_keys=ON"))
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_modal(app, pilot, workspace.ids, Kind.ACCEPT)
        with locked_record(workspace.root):
            await pilot.press("4", "enter")
            await until(pilot, lambda: "held by another process" in lines(app))
        assert app.session.answers.refused.clauses == ["1 of 1 answer was refused and is not stored"]
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        await open_modal(app, pilot, workspace.ids, Kind.ACCEPT)
        await pilot.press("4", "enter")
        await until(pilot, lambda: len(workspace.events()) == 4)
        await until(pilot, lambda: app.session.answers.refused.lost == 0)
