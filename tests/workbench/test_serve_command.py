"""`negwb serve`: a page, its websocket and a decision through it; nobody else's page gets in."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from support.houses import Case, House, build
from typer.testing import CliRunner

from workbench.cli import app
from workbench.serving import address, is_loopback

NEGWB = Path(sys.executable).with_name("negwb")
_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = build(tmp_path / "a folder", [Case(text=f"a man without hat {n}") for n in range(3)])
    yield made
    made.store.close()


@pytest.fixture
def server(house: House) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server's process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [NEGWB, "-w", house.root, "serve", "--port", str(port), "-a", "ana"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert f"http://127.0.0.1:{port}" in said
            assert "half blocks" in said
            yield process, f"127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def served(server: tuple[subprocess.Popen[str], str]) -> Iterator[str]:
    """The address of a server; it must end by itself when it is interrupted."""
    process, address = server
    yield address
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


async def test_a_decision_through_the_browsers_way_in(house: House, served: str) -> None:
    async with aiohttp.ClientSession() as client:
        async with client.get(f"http://{served}/") as page:
            text = await page.text()
            assert page.status == 200
            assert "style-src 'self'" in page.headers["Content-Security-Policy"]
        assert f"ws://{served}/ws" in text
        async with client.ws_connect(f"ws://{served}/ws?width=100&height=30", origin=f"http://{served}") as page_socket:
            await asyncio.wait_for(shown(page_socket, b"NEGATED"), 60)
            deadline = time.monotonic() + 60
            while not house.events():
                assert time.monotonic() < deadline
                await page_socket.send_json(["stdin", "a"])
                await asyncio.sleep(0.5)
    assert house.events()[0] == (1, "accept", None)
    deadline = time.monotonic() + 60
    while house.rows("SELECT count(*) FROM work_session WHERE ended_at IS NULL") != [(0,)]:
        assert time.monotonic() < deadline, "closing the page did not end its sitting"
        await asyncio.sleep(0.1)


async def shown(page_socket: aiohttp.ClientWebSocketResponse, words: bytes) -> None:
    """Read until these words have come."""
    told = b""
    async for message in page_socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            told += message.data
            if words in _CONTROL.sub(b"", told):
                return
    raise AssertionError(f"the page ended with {told[-500:]!r}")


async def test_other_pages_are_kept_out(served: str) -> None:
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"ws://{served}/ws", origin="http://elsewhere.example")
        assert refused.value.status == 403
        async with client.get(f"http://{served}/", headers={"Host": "rebound.example"}) as page:
            assert page.status == 403


def test_other_machines_are_kept_out_unless_told(house: House) -> None:
    done = CliRunner().invoke(app, ["-w", str(house.root), "serve", "--host", "0.0.0.0"])
    assert "no login" in str(done.exception)
    assert "--public-anyway" in getattr(done.exception, "hint", "")


def test_a_port_that_is_taken_is_said(house: House) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [NEGWB, "-w", house.root, "serve", "--port", str(port)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "another --port" in done.stderr


def test_what_is_loopback() -> None:
    assert [host for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9", "[::1]") if not is_loopback(host)] == []
    assert [host for host in ("0.0.0.0", "::", "192.168.1.2", "localhost.example", "") if is_loopback(host)] == []
    assert address("::1", 80) == "http://[::1]:80"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_server_that_is_ended_ends_the_sittings_of_its_pages(
    house: House, server: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    process, served = server
    async with aiohttp.ClientSession() as client:
        page = f"ws://{served}/ws?width=100&height=30"
        async with client.ws_connect(page, origin=f"http://{served}") as page_socket:
            await asyncio.wait_for(shown(page_socket, b"NEGATED"), 60)
            process.send_signal(number)
            assert await asyncio.to_thread(process.wait, 120) == 0
    deadline = time.monotonic() + 60
    while house.rows("SELECT count(*) FROM work_session WHERE ended_at IS NULL") != [(0,)]:
        assert time.monotonic() < deadline, "ending the server did not end the sitting of its page"
        await asyncio.sleep(0.1)
    assert house.rows("SELECT * FROM lease") == []
