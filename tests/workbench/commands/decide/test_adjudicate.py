"""`negwb adjudicate ID accept|reject`: the same events as the screen, whose log lists the command."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from support.results import until
from support.workspaces import WorkspaceFixture, settled
from typer.testing import CliRunner, Result

from curation_db.enums import Kind, Reason, Role
from curation_db.errors import RecordError
from curation_db.events.annotators import begin_session
from curation_db.storage.store import open_store
from workbench import cli
from workbench.errors import NothingToDo, UsageError
from workbench.tui.screens.adjudicate import AdjudicateScreen
from workbench.workspace.layout import Workspace


def negwb(workspace: WorkspaceFixture, *words: object) -> Result:
    return CliRunner().invoke(cli.app, ["-w", str(workspace.root), *map(str, words)])


def disputed(make_workspace: Any, join: Any) -> WorkspaceFixture:
    """Create four candidates: two annotators disagree on the first three, the last has no votes."""
    workspace: WorkspaceFixture = make_workspace(4, overlap="2")
    first, second = (join(workspace, name) for name in ("ana", "ben"))
    for number in workspace.ids[:3]:
        first.decide(number, Kind.ACCEPT)
        second.decide(number, Kind.REJECT, reason=Reason.GRATUITOUS)
    with open_store(workspace.root / "curation.db") as store:
        begin_session(store, "dan", version="test", role=Role.ADJUDICATOR)
    return workspace


def acts(workspace: WorkspaceFixture) -> list[tuple[Any, ...]]:
    """Return dan's events without their times."""
    return workspace.rows(
        "SELECT candidate_id, kind, verdict, reason, cause, undo_of, child_id, blind, late, stream, role"
        " FROM event WHERE actor = 'dan' ORDER BY seq"
    )


def test_an_adjudication_is_written_and_undone(make_workspace: Any, join: Any) -> None:
    workspace = disputed(make_workspace, join)
    words = ("adjudicate", 2, "reject", "--reason", "present", "--cause", "subjective")
    done = negwb(workspace, *words, "-a", "dan", "--json")
    assert json.loads(done.stdout) == {
        "candidate": 2, "act": "adjudicate", "verdict": "reject", "reason": "present", "cause": "subjective",
        "annotator": "dan", "state": "rejected",
    }  # fmt: skip
    assert "negwb: candidate 2 rejected: present; now rejected" in done.stderr
    again = negwb(workspace, *words, "-a", "dan").exception
    assert isinstance(again, NothingToDo)
    assert "dan has adjudicated candidate 2 already: reject" in str(again)
    assert "negwb undo" in str(again.hint)
    assert negwb(workspace, "undo", "-a", "dan").exit_code == 0
    assert workspace.states()[2] == "contested"
    assert negwb(workspace, "adjudicate", 2, "accept", "-a", "dan").exit_code == 0
    assert [row[1] for row in acts(workspace)] == ["adjudicate", "undo", "adjudicate"]


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        ((1, "accept", "-a", "ana"), RecordError, "only an adjudicator"),
        ((99, "accept", "-a", "dan"), RecordError, "there is no candidate 99"),
        ((4, "accept", "-a", "dan"), UsageError, "annotators do not disagree about candidate 4"),
        ((1, "reject", "-a", "dan"), UsageError, "needs a reason"),
        ((1, "accept", "--reason", "present", "-a", "dan"), UsageError, "takes no reason"),
        ((1, "-a", "dan"), UsageError, "the decision is missing"),
        (("--json",), UsageError, "belong to one candidate"),
    ],
)
def test_an_adjudication_that_is_refused_says_why(
    make_workspace: Any, join: Any, words: tuple[object, ...], kind: type[Exception], message: str
) -> None:
    workspace = disputed(make_workspace, join)
    before = workspace.events()
    error = negwb(workspace, "adjudicate", *words).exception
    assert isinstance(error, kind)
    assert message in str(error)
    assert getattr(error, "hint", "") or "99" in message
    assert workspace.events() == before


async def test_the_log_of_the_screen_lists_commands_with_the_same_effect(
    make_workspace: Any, join: Any, open_app: Any
) -> None:
    first, second = disputed(make_workspace, join), disputed(make_workspace, join)
    app = open_app(first, "dan", app={"workspace": Workspace(first.root)})
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("d")
        for number, keys in ((1, ("a", "enter")), (2, ("x", "p", "s"))):
            await until(pilot, lambda number=number: _shown(app) == number)
            await pilot.press(*keys)
            await until(pilot, lambda number=number: len(app.session.acts.acts) == number)
            await until(pilot, lambda: not app.screen._busy)
            await pilot.press("space")
        await until(pilot, lambda: _shown(app) == 3)
        await pilot.press("e")
        await until(pilot, lambda: app.screen.stage == "edit")
        await pilot.press(*" it's", "enter")
        await until(pilot, lambda: len(app.session.acts.acts) == 3)
        script = app.session.acts.script
    assert script.splitlines()[0] == "negwb adjudicate 1 accept -a dan"
    assert script.splitlines()[1] == "negwb adjudicate 2 reject --reason present --cause annotator_slip -a dan"
    for line in script.splitlines():
        done = negwb(second, *shlex.split(line)[1:])
        assert done.exit_code == 0, (line, done.exception)
    assert acts(second)[:2] == acts(first)[:2]
    assert [row[:2] for row in acts(second)] == [row[:2] for row in acts(first)]
    assert second.states() == first.states()
    assert second.rows("SELECT text FROM candidate") == first.rows("SELECT text FROM candidate")


def _shown(app: Any) -> int | None:
    screen = app.screen
    if not isinstance(screen, AdjudicateScreen) or screen.shown is None or screen._busy:
        return None
    return int(screen.shown.card.candidate_id)
