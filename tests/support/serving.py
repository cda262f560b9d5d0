"""A `negwb serve` in a child process."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from support.workspaces import WorkspaceFixture

NEGWB = Path(sys.executable).with_name("negwb")


class Served:
    """A server in a child process, and its output."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.host = process, f"127.0.0.1:{port}"
        assert process.stderr is not None
        self.lines = process.stderr
        self.entrance = self.next_entrance("half blocks")

    def next_entrance(self, words: str) -> str:
        line = self.lines.readline()
        assert words in line
        match = re.search(rf"http://{self.host}/\?token=\S+", line)
        assert match, line
        return match.group()

    def socket(self, client: aiohttp.ClientSession, origin: str | None = None) -> Any:
        address = f"ws://{self.host}/ws?width=100&height=30"
        return client.ws_connect(address, origin=origin or f"http://{self.host}")


@contextmanager
def serving(workspace: WorkspaceFixture, *words: str) -> Iterator[Served]:
    """Run a server; it must end when it is interrupted."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [NEGWB, "-w", workspace.root, "serve", "--port", str(port), "-a", "ana", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Served(process, port)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
