"""A check of images that is stopped in the middle: no answered question is asked again, and the result is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.answering_server import AnsweringServer, answering_server, completion, image_of, last_text, refusal
from support.commands import negwb

from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

IMAGES = 30


def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Answer by the bytes of the image, so that every answer has a fixed place."""
    return 200, completion("Yes." if sum(image_of(body).encode()) % 3 else "No.")


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with answering_server(answer) as running:
        yield running


def make_workspace_with(folder: Path, server: AnsweringServer) -> Workspace:
    """Create a workspace with a server as the judge, one request at a time."""
    workspace = create_workspace(folder / "ws")
    with workspace.settings.open("a") as file:
        file.write(f'\n[engines.eye]\nkind = "openai"\nurl = "{server.url}"\nconcurrency = 1\nmethod = "bare"\n')
    return workspace


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    lines = []
    for at in range(IMAGES):
        Image.new("RGB", (16 + at, 16), (at * 8, 90, 255 - at * 8)).save(tmp_path / f"{at}.png")
        lines.append(json.dumps({"image": f"{at}.png", "caption": f"a park with no dog {at}"}))
    path = tmp_path / "captions.jsonl"
    path.write_text("\n".join(lines))
    return path


def check_of(output: str) -> dict[str, Any]:
    check: dict[str, Any] = json.loads(output)["image_check"]
    return check


def words(corpus: Path) -> list[str]:
    return ["audit", str(corpus), "--check-images", str(IMAGES), "--judge", "eye", "--json", "--processes", "1"]


def questions(server: AnsweringServer, start: int = 0) -> Counter[tuple[str, str]]:
    return Counter((last_text(body), image_of(body)) for body in server.requests[start:])


def whole(corpus: Path, folder: Path) -> dict[str, Any]:
    """Return the result of a check that was not stopped."""
    with answering_server(answer) as other:
        return check_of(negwb(make_workspace_with(folder, other), *words(corpus)).stdout)


def test_a_check_after_an_error_asks_only_what_is_open(server: AnsweringServer, corpus: Path, tmp_path: Path) -> None:
    workspace = make_workspace_with(tmp_path, server)
    server.reply = after(server, 10, lambda body: refusal("no access", 401))
    assert negwb(workspace, *words(corpus)).exit_code != 0
    answered = questions(server)
    server.reply, start = answer, len(server.requests)
    result = negwb(workspace, *words(corpus))
    assert result.exit_code == 0
    again = questions(server, start)
    assert sum(again.values()) == IMAGES - 10
    assert len(answered & again) == 1  # the refused one
    assert check_of(result.stdout)["captions"] == whole(corpus, tmp_path / "other")["captions"]


def after(server: AnsweringServer, count: int, then: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """Answer so many requests, then reply as `then` does."""
    return lambda body: answer(body) if len(server.requests) <= count else then(body)


@pytest.mark.long
def test_a_killed_check_asks_only_what_is_open(server: AnsweringServer, corpus: Path, tmp_path: Path) -> None:
    workspace = make_workspace_with(tmp_path, server)
    command = [sys.executable, "-P", "-m", "workbench", "-w", str(workspace.root), *words(corpus)]
    reached, released = threading.Event(), threading.Event()

    def hold(body: dict[str, Any]) -> Any:
        reached.set()
        released.wait(60)
        return answer(body)

    server.reply = after(server, 12, hold)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert reached.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
        released.set()
    server.reply, start = answer, len(server.requests)
    assert start == 13
    answered = questions(server)
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    again = questions(server, start)
    assert sum(again.values()) == IMAGES - 12
    assert len(answered & again) == 1  # the one without an answer
    check, expected = check_of(ended.stdout), whole(corpus, tmp_path / "other")
    assert check["captions"] == expected["captions"]
    assert (check["shown"], check["share"]) == (expected["shown"], expected["share"])
