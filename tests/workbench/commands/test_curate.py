"""`negwb curate` as a process: when it refuses, and how it ends when it is made to."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.terminal import Terminal

from curation_db.storage.store import create_store

NEGWB = Path(sys.executable).with_name("negwb")


def curate(workspace: Any, *more: str, **told: Any) -> Terminal:
    return Terminal([NEGWB, "-w", workspace.root, "curate", "-a", "ana", "--images", "halfcell", *more], **told)


def test_without_a_terminal_it_says_what_to_do(make_workspace: Any) -> None:
    told = subprocess.run(
        [NEGWB, "-w", make_workspace(1).root, "curate"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert told.returncode == 2
    assert told.stdout == ""
    assert "needs a terminal" in told.stderr
    assert "negwb demo --auto" in told.stderr


def test_an_empty_workspace_is_nothing_to_do(tmp_path: Path, make_workspace: Any) -> None:
    workspace = make_workspace(1)
    workspace.root = tmp_path / "empty"
    workspace.root.mkdir()
    (workspace.root / "negwb.toml").touch()
    create_store(workspace.root / "curation.db").close()
    with curate(workspace) as terminal:
        assert terminal.end() == 5
        assert b"negwb import" in terminal.output


@pytest.mark.parametrize(
    ("settings", "said"),
    [('theme = "nope"', b"negwb-dark"), ('[curate.keys]\naccept = "x"', b"would mean both"), ('order = "x"', b"order")],
)
def test_settings_that_are_off_are_told_before_anything_opens(make_workspace: Any, settings: str, said: bytes) -> None:
    workspace = make_workspace(1)
    (workspace.root / "negwb.toml").write_text(f"[curate]\n{settings}\n")
    with curate(workspace) as terminal:
        assert terminal.end() == 2
        assert said in terminal.output
    assert workspace.rows("SELECT * FROM lease") == []


def test_an_empty_name_is_not_taken_for_the_login_name(make_workspace: Any) -> None:
    """As in --annotator "$UNSET"."""
    with curate(make_workspace(1), "--annotator", "") as terminal:
        assert terminal.end() == 2
        assert b"an annotator needs a name" in terminal.output


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_made_to_end_it_gives_its_cards_back(make_workspace: Any, how: signal.Signals) -> None:
    workspace = make_workspace(5)
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.press_until("a", lambda: bool(workspace.events()))
        terminal.process.send_signal(how)
        assert terminal.end() == 128 + how
    assert workspace.rows("SELECT * FROM lease") == []
    assert workspace.rows("SELECT count(*) FROM work_session WHERE ended_at IS NULL") == [(0,)]


def test_blind_and_order_are_taken_and_leaving_tells_what_was_done(make_workspace: Any) -> None:
    workspace = make_workspace(3)
    with curate(workspace, "--blind", "--order", "oldest") as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.wait_for(b"hidden")
        terminal.press("a")
        terminal.wait_for(lambda: len(workspace.events()) == 1)
        terminal.press("q")
        assert terminal.end() == 0
        assert b"1 accepted; 1 of 3 done" in terminal.output
    assert workspace.rows("SELECT candidate_id, blind FROM event") == [(1, 1)]


def test_a_terminal_that_is_simply_gone_ends_it(make_workspace: Any) -> None:
    workspace = make_workspace(5)
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.hang_up()
        assert terminal.process.wait(20) == 128 + signal.SIGHUP
    assert workspace.rows("SELECT * FROM lease") == []


def test_nothing_heavy_is_imported_on_the_way_to_the_first_card() -> None:
    words = (
        "import sys, workbench.commands.curate, curation_db.storage.store;"
        "import workbench.annotation.session, workbench.tui.app;"
        "heavy = ('sqlmodel', 'numpy', 'httpx', 'alembic', 'textual_plot', 'textual_image', 'torch', 'PIL',"
        " 'markdown_it', 'textual.widgets._text_area', 'curation_db.storage.models');"
        "print([name for name in heavy if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
