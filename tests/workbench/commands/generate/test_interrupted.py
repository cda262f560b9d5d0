"""Ctrl-C in `negwb generate`, in a terminal: the requests in flight are counted down; a second Ctrl-C ends at once."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.model_server import Served, model_server
from support.terminal import Terminal
from typer.testing import CliRunner

from workbench.cli import app
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

CAPTIONS, CONCURRENCY = 60, 6
WAITING = re.compile(rb"waiting for (\d+) answers?")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in range(CAPTIONS)]
    annotations = [{"id": n, "image_id": n, "caption": f"a man number {n} on a beach"} for n in range(CAPTIONS)]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    done = CliRunner().invoke(app, ["-w", str(created.root), "import", str(tmp_path / "c.json"), "--source", "coco"])
    assert done.exit_code == 0, done.output
    return created


def command(workspace: Workspace, server: Served) -> list[str | Path]:
    with workspace.settings.open("a") as file:
        file.write(
            '\n[generate]\nproposer = "llm"\njudges = ["annotations"]\n[engines.llm]\nkind = "openai"\n'
            f'url = "{server.url}"\nconcurrency = {CONCURRENCY}\ntries = 1\n'
        )
    return [sys.executable, "-P", "-m", "workbench", "-w", workspace.root, "generate"]


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, "waited for 30 s"
        time.sleep(0.02)


def answers(workspace: Workspace) -> int:
    connection = sqlite3.connect(workspace.database)
    try:
        return int(connection.execute("SELECT count(*) FROM generation_answer").fetchone()[0])
    finally:
        connection.close()


def counts(terminal: Terminal) -> list[int]:
    return [int(number) for number in WAITING.findall(bytes(terminal.output))]


def test_the_requests_in_flight_are_counted_down(workspace: Workspace) -> None:
    with (
        model_server(latency_ms=400, ceiling=1, queueing=True) as server,
        Terminal(command(workspace, server), columns=100) as terminal,
    ):
        wait_until(lambda: server.stats()["served"] >= 3)
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for(b"Ctrl-C again ends at once and loses them")
        assert terminal.end() == 130
        seen = counts(terminal)
        assert 2 <= seen[0] <= CONCURRENCY  # those that are sent, not those that wait for a slot
        assert seen == sorted(seen, reverse=True)
        assert len(set(seen)) >= 2
        assert b"run the same command again" in bytes(terminal.output)
        assert answers(workspace) == server.stats()["served"]


def test_a_second_interrupt_ends_at_once(workspace: Workspace) -> None:
    with (
        model_server(latency_ms=200) as server,
        Terminal(command(workspace, server), columns=100) as terminal,
    ):
        wait_until(lambda: server.stats()["served"] >= 3)
        server.behave(latency_ms=60_000)
        wait_until(lambda: server.stats()["working"] >= 1)
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for(b"Ctrl-C again ends at once and loses them")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        assert b"Traceback" not in bytes(terminal.output)
