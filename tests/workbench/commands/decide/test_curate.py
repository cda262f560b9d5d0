"""`negwb curate` as a process: refusals and termination."""

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


def curate(workspace: Any, *more: str, **options: Any) -> Terminal:
    return Terminal([NEGWB, "-w", workspace.root, "curate", "-a", "ana", "--images", "halfcell", *more], **options)


def test_without_a_terminal_the_error_names_the_alternatives(make_workspace: Any) -> None:
    created = subprocess.run(
        [NEGWB, "-w", make_workspace(1).root, "curate"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert created.returncode == 2
    assert created.stdout == ""
    assert "needs a terminal" in created.stderr
    assert "negwb demo --auto" in created.stderr


def test_an_empty_workspace_has_nothing_to_do(tmp_path: Path, make_workspace: Any) -> None:
    workspace = make_workspace(1)
    workspace.root = tmp_path / "empty"
    workspace.root.mkdir()
    (workspace.root / "negwb.toml").touch()
    create_store(workspace.root / "curation.db").close()
    with curate(workspace) as terminal:
        assert terminal.end() == 5
        assert b"negwb import" in terminal.output


@pytest.mark.parametrize(
    ("settings", "message"),
    [('theme = "nope"', b"negwb-dark"), ('[curate.keys]\naccept = "x"', b"would mean both"), ('order = "x"', b"order")],
)
def test_invalid_settings_are_reported_before_the_app_starts(
    make_workspace: Any, settings: str, message: bytes
) -> None:
    workspace = make_workspace(1)
    (workspace.root / "negwb.toml").write_text(f"[curate]\n{settings}\n")
    with curate(workspace) as terminal:
        assert terminal.end() == 2
        assert message in terminal.output
    assert workspace.rows("SELECT * FROM lease") == []


def test_an_empty_name_is_not_replaced_by_the_login_name(make_workspace: Any) -> None:
    """For example --annotator "$UNSET"."""
    with curate(make_workspace(1), "--annotator", "") as terminal:
        assert terminal.end() == 2
        assert b"an annotator needs a name" in terminal.output


@pytest.mark.parametrize("how", [signal.SIGHUP, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_termination_releases_the_leases(make_workspace: Any, how: signal.Signals) -> None:
    workspace = make_workspace(5)
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.press_until("a", lambda: bool(workspace.events()))
        terminal.process.send_signal(how)
        assert terminal.end() == 128 + how
    assert workspace.rows("SELECT * FROM lease") == []
    assert workspace.rows("SELECT count(*) FROM work_session WHERE ended_at IS NULL") == [(0,)]


def test_blind_and_order_apply_and_quitting_prints_a_summary(make_workspace: Any) -> None:
    workspace = make_workspace(3)
    with curate(workspace, "--blind", "--order", "oldest") as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.wait_for(b"hidden")
        terminal.press_for("a", lambda: len(workspace.events()) == 1)
        terminal.press("q")
        assert terminal.end() == 0
        assert b"1 accepted; 1 of 3 done" in terminal.output
    assert workspace.rows("SELECT candidate_id, blind FROM event") == [(1, 1)]


@pytest.mark.long
def test_a_closed_terminal_ends_the_app(make_workspace: Any) -> None:
    workspace = make_workspace(5)
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.hang_up()
        assert terminal.process.wait(60) == 128 + signal.SIGHUP
    assert workspace.rows("SELECT * FROM lease") == []


def test_no_heavy_module_is_imported_before_the_first_card() -> None:
    words = (
        "import sys, workbench.commands.decide.curate, curation_db.storage.store;"
        "import workbench.annotation.session, workbench.tui.app;"
        "heavy = ('sqlmodel', 'numpy', 'httpx', 'alembic', 'textual_plot', 'torch', 'PIL',"
        " 'markdown_it', 'textual.widgets._text_area', 'curation_db.storage.models');"
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
