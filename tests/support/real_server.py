"""`transformers serve` on this machine: a real OpenAI-compatible server that a test starts and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

_UP_S = 60.0


@contextmanager
def transformers_server(folder: Path) -> Iterator[str]:
    """Its address, with /v1. It loads whatever model folder a request names; its log is in `folder`."""
    (folder / "hub").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--device", "cpu"]
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub")}
    with server(command, folder / "server.log", quiet) as url:
        yield url


@contextmanager
def server(
    command: Sequence[str], log: Path, environment: Mapping[str, str], *, patience: float = _UP_S
) -> Iterator[str]:
    """A server that takes --port and tells its health; ended when the block is."""
    port = _free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            start_new_session=True,  # with the processes that it starts itself
        )
    try:
        _wait_until_up(process, f"http://localhost:{port}/health", log, patience)
        yield f"http://localhost:{port}/v1"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        assert process.poll() is None, f"the server ended: {log.read_text(errors='replace')[-3000:]}"
        try:
            if httpx.get(url, timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no server after {patience:.0f} s: {log.read_text(errors='replace')[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
