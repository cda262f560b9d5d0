"""Terminal replies and key reports that are not keys decide nothing."""

from __future__ import annotations

import time
from pathlib import Path

from support.record import Record
from support.terminal_app import CurateTerminal

from curation_db.storage.store import open_store
from workbench.workspace.create import create_workspace

REPLIES = (
    "\x1bP>|tmux 3.4\x1b\\",
    "\x1b_Gi=31;OK\x1b\\",
    "\x1b_Gi=31;EINVAL:a",
    "x u\x1b\\",
    "\x1b]11;rgb:aaaa/aaaa/aaaa",
    "\x07",
    "\x1b[97:65;2u",
    "\x1b[97;1:3u",
    "\x1b[99999999999999999999u",
    "\x1b[97;2A",
    "\x1b[200~aaa xu zz",
    "aa\x1b[201~",
)
"""In the order in which they are read."""


def test_terminal_replies_decide_nothing_and_the_next_key_does(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(5)
    with CurateTerminal(workspace.root) as app:
        for reply in REPLIES:
            app.send(reply)
            time.sleep(0.05)
        app.type("u")
        assert app.actions() == ["unsure"]
        assert not app.shows(b"Traceback")
        app.press("q")
        assert app.end() == 0
