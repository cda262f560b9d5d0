"""The build of a demo in two parts: the first cards, and the rest behind them."""

from __future__ import annotations

import signal
import sqlite3
import sys
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.terminal_app import rows

from workbench.demo.build import OPENING, DemoFiles, DemoSize, build_demo, finish_demo, is_finished, open_demo
from workbench.jobs.process import lock_holders

NEGWB = Path(sys.executable).with_name("negwb")
SIZE = DemoSize(pictures=OPENING + 6, pool=1, scenes=1, gallery=2)
TIMES = {"created_at", "seen_at", "since"}


def content(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows that a build writes, without times."""
    connection = sqlite3.connect(database)
    found = {}
    for table in ("image", "caption", "candidate", "candidate_state", "verdict", "queue_entry"):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] not in TIMES]
        found[table] = connection.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2, 3, 4").fetchall()
    connection.close()
    return found


def test_the_demo_opens_on_its_first_images_and_is_the_same_when_it_is_finished(tmp_path: Path) -> None:
    folder, steps = tmp_path / "demo", set[str]()
    workspace = open_demo(folder, size=SIZE, progress=lambda name, *_: steps.add(name))
    files = DemoFiles(folder)
    ready = rows(workspace.database, "SELECT i.file_name FROM candidate c JOIN image i ON i.id = c.image_id")
    assert {name for (name,) in ready} <= {path.name for path in files.pictures.iterdir()}, "a card has its image"
    assert len(list(files.pictures.iterdir())) == OPENING
    assert not is_finished(folder)
    assert not files.pool.exists()

    open_demo(folder, size=SIZE, progress=pytest.fail)  # has nothing to do
    finish_demo(folder, size=SIZE, progress=lambda *_: None)
    assert is_finished(folder)
    finish_demo(folder, size=SIZE, progress=pytest.fail)

    whole = build_demo(tmp_path / "whole", size=SIZE, progress=lambda *_: None)
    assert content(workspace.database) == content(whole.database)
    pieces = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    assert pieces.keys() == {path.relative_to(whole.root) for path in whole.root.rglob("*") if path.is_file()}
    for name, path in pieces.items():
        assert path.suffix in (".db", ".toml") or path.read_bytes() == (whole.root / name).read_bytes(), name


@pytest.mark.long
def test_keys_decide_while_the_rest_is_drawn_and_a_killed_demo_is_finished_later(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    files, database = DemoFiles(folder), folder / "curation.db"
    with Terminal([NEGWB, "demo", folder]) as app:
        app.wait_for(b"keys: a accept")
        app.wait_for(b"NEGATED")
        assert not files.truth.exists(), "the card shows before the demo is finished"
        app.press_until("a", lambda: rows(database, "SELECT 1 FROM event WHERE kind = 'accept'") != [])
        app.kill()
    lock = files.captions.parent / ".building"
    with Terminal([NEGWB, "demo", folder]) as app:
        app.wait_for(lambda: is_finished(folder), seconds=120)
        app.press_until("q", lambda: app.process.poll() is not None)
        assert app.end() == 0
        assert app.shows(b"1 of 976 done"), "the session has counted the candidates that arrived"
    assert lock_holders(lock) == []
    assert len(rows(database, "SELECT 1 FROM candidate")) == 976
    assert rows(database, "SELECT kind FROM event") == [("accept",)]


@pytest.mark.long
def test_quitting_early_waits_for_the_rest_and_ctrl_c_leaves_it(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with Terminal([NEGWB, "demo", folder]) as app:
        app.wait_for(b"NEGATED")
        app.press_until("q", lambda: app.shows(b"Ctrl-C leaves it for later"))
        app.process.send_signal(signal.SIGINT)
        assert app.end() == 130
    assert not is_finished(folder)
    assert lock_holders(DemoFiles(folder).captions.parent / ".building") == [], "its process has ended"
