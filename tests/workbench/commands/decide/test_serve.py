"""Tests of `negwb serve`: pages, websockets, access, limits and clicks."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from support.serving import Served, serving
from support.workspaces import Case, WorkspaceFixture, build
from typer.testing import CliRunner

from workbench.cli import app
from workbench.web_server import address, is_loopback

NEGWB = Path(sys.executable).with_name("negwb")
_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[WorkspaceFixture]:
    created = build(tmp_path / "a folder", [Case(text=f"a man without hat {n}") for n in range(3)])
    yield created
    created.store.close()


@pytest.fixture
def served(workspace: WorkspaceFixture) -> Iterator[Served]:
    with serving(workspace) as created:
        yield created


def browser() -> aiohttp.ClientSession:
    """A client that stores cookies of an IP address, as browsers do."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def enter(client: aiohttp.ClientSession, served: Served) -> str:
    """Open the newest address and return the page; read the address for the next browser."""
    async with client.get(served.entrance) as page:
        text = await page.text()
        assert page.status == 200, text
        assert page.url.query_string == "", "the token stays in no history"
    served.entrance = served.next_entrance("the next one")
    return text


async def until(condition: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, why
        await asyncio.sleep(0.1)


def open_sessions(workspace: WorkspaceFixture) -> int:
    return int(workspace.rows("SELECT count(*) FROM work_session WHERE ended_at IS NULL")[0][0])


async def test_a_decision_in_a_browser(workspace: WorkspaceFixture, served: Served) -> None:
    async with browser() as client:
        text = await enter(client, served)
        async with client.get(f"http://{served.host}/") as page:
            assert "style-src 'self'" in page.headers["Content-Security-Policy"]
        assert f"ws://{served.host}/ws" in text
        assert ".focus()" in text
        assert "//fonts" not in text
        async with served.socket(client) as page_socket:
            await asyncio.wait_for(shown(page_socket, b"NEGATED"), 60)
            deadline = time.monotonic() + 60
            while not workspace.events():
                assert time.monotonic() < deadline
                await page_socket.send_json(["stdin", "a"])
                await asyncio.sleep(0.5)
    assert workspace.events()[0] == (1, "accept", None)
    await until(lambda: not open_sessions(workspace), "closing the page did not end its session")


PARTS = ("/", "/static/js/textual.js", "/static/", "/static/css/xterm.css", "/download/x", "/ws", "/nothing")


async def test_without_the_token_nothing_is_served(workspace: WorkspaceFixture, served: Served) -> None:
    async with browser() as client:
        for part in (*PARTS, "/?token=", "/?token=wrong", f"/nothing{served.entrance[len(served.host) + 8 :]}"):
            async with client.get(f"http://{served.host}{part}") as page:
                assert (page.status, "newest address" in await page.text()) == (403, True), part
        async with client.head(served.entrance) as page:
            assert page.status == 403, "a preview does not use the address up"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await served.socket(client)
        assert refused.value.status == 403
        forged = {"Cookie": "; ".join(f"negwb_{n:08x}=x" for n in range(3))}
        async with client.get(f"http://{served.host}/", headers=forged) as page:
            assert page.status == 403
        await enter(client, served)
        async with client.get(f"http://{served.host}/static/js/textual.js") as script:
            assert script.status == 200
    assert open_sessions(workspace) == 0


async def test_each_address_admits_one_browser_once(served: Served) -> None:
    first, tokens = served.entrance, set[str]()
    async with browser() as one, browser() as other:
        await enter(one, served)
        tokens |= {first, served.entrance}
        async with other.get(first) as page:
            assert page.status == 403
        async with one.get(f"{first}&fontsize=20") as page:  # from its history, say
            assert (page.status, page.url.query_string) == (200, "fontsize=20")
            assert 'data-font-size="20"' in await page.text()
        await enter(other, served)
        assert len(tokens | {served.entrance}) == 3
        async with other.get(f"http://{served.host}/") as page:
            assert page.status == 200
        async with one.get(f"http://{served.host}/") as page:
            assert page.status == 200


async def test_the_cookie_is_hidden_from_scripts_and_other_sites(served: Served) -> None:
    async with browser() as client, client.get(served.entrance, allow_redirects=False) as page:
        assert (page.status, page.headers["Location"]) == (303, "/")
        (cookie,) = page.cookies.values()
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", "")
    assert cookie.value not in served.entrance


@pytest.mark.long
async def test_the_number_of_pages_is_limited_and_a_closed_page_does_not_count(workspace: WorkspaceFixture) -> None:
    with serving(workspace, "--pages", "1") as served:
        async with browser() as client:
            await enter(client, served)
            async with served.socket(client) as page_socket:
                await asyncio.wait_for(shown(page_socket, b"NEGATED"), 60)
                async with served.socket(client) as other:
                    assert "its only page is open" in (text := (await other.receive_bytes()).decode())
                    assert "--pages" in text
                    assert (await other.receive()).type is aiohttp.WSMsgType.CLOSE
                    assert other.close_code == aiohttp.WSCloseCode.TRY_AGAIN_LATER
                assert open_sessions(workspace) == 1
            # reloaded: the new page waits until the old one has closed
            async with client.get(f"http://{served.host}/") as page, served.socket(client) as page_socket:
                assert page.status == 200
                await asyncio.wait_for(shown(page_socket, b"NEGATED"), 60)
                assert open_sessions(workspace) == 1
        await until(lambda: not open_sessions(workspace), "the session did not end")


ACCEPT = (3, 30)
"""Position of "a accept" among the key hints at 100x30."""


async def click(page_socket: aiohttp.ClientWebSocketResponse) -> None:
    column, row = ACCEPT
    for kind in "Mm":
        await page_socket.send_json(["stdin", f"\x1b[<0;{column};{row}{kind}"])


@pytest.mark.long
async def test_the_first_click_only_focuses(workspace: WorkspaceFixture, served: Served) -> None:
    async with browser() as client:
        await enter(client, served)
        async with served.socket(client) as page_socket:
            await asyncio.wait_for(shown(page_socket, b"NEGATED"), 60)
            await asyncio.sleep(1)  # a decision about a card that just appeared is dropped for another reason
            await click(page_socket)
            for text in ('["nonsense"]', '["stdin", 7]', "{", "[]", '"stdin"'):
                await page_socket.send_str(text)  # none of these ends the page
            await page_socket.send_json(["stdin", "g"])
            await asyncio.wait_for(shown(page_socket, b"guidelines.md"), 60)
            await page_socket.send_json(["stdin", "\x1b"])
            assert workspace.events() == []
            await until_clicked(workspace, page_socket, 1)
            await page_socket.send_json(["blur"])
            await page_socket.send_json(["focus"])
            await asyncio.sleep(1)
            await click(page_socket)
            await page_socket.send_json(["stdin", "g"])
            await asyncio.wait_for(shown(page_socket, b"guidelines.md"), 60)
            await page_socket.send_json(["stdin", "\x1b"])
            assert len(workspace.events()) == 1, "the click that brought the focus back pressed something"
            await until_clicked(workspace, page_socket, 2)


async def until_clicked(workspace: WorkspaceFixture, page_socket: aiohttp.ClientWebSocketResponse, events: int) -> None:
    deadline = time.monotonic() + 60
    while len(workspace.events()) < events:
        assert time.monotonic() < deadline, "a click has no effect"
        await click(page_socket)
        await asyncio.sleep(0.5)


async def shown(page_socket: aiohttp.ClientWebSocketResponse, words: bytes) -> None:
    """Read until the text has arrived."""
    data = b""
    async for message in page_socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            data += message.data
            if words in _CONTROL.sub(b"", data):
                return
    raise AssertionError(f"the page ended with {data[-500:]!r}")


async def test_other_origins_are_refused(served: Served) -> None:
    async with browser() as client:
        await enter(client, served)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await served.socket(client, origin="http://elsewhere.example")
        assert refused.value.status == 403
        async with client.get(f"http://{served.host}/", headers={"Host": "rebound.example"}) as page:
            assert page.status == 403


def test_other_machines_are_refused_unless_allowed(workspace: WorkspaceFixture) -> None:
    done = CliRunner().invoke(app, ["-w", str(workspace.root), "serve", "--host", "0.0.0.0"])
    assert "not encrypted" in str(done.exception)
    assert "--public-anyway" in getattr(done.exception, "hint", "")


def test_a_used_port_is_reported(workspace: WorkspaceFixture) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [NEGWB, "-w", workspace.root, "serve", "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "another --port" in done.stderr


def test_loopback_addresses() -> None:
    assert [host for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9", "[::1]") if not is_loopback(host)] == []
    assert [host for host in ("0.0.0.0", "::", "192.168.1.2", "localhost.example", "") if is_loopback(host)] == []
    assert address("::1", 80) == "http://[::1]:80"


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.long) for n in (signal.SIGINT, signal.SIGHUP))]
)
async def test_a_stopped_server_ends_the_sessions_of_its_pages(
    workspace: WorkspaceFixture, number: signal.Signals
) -> None:
    with serving(workspace) as served:
        async with browser() as client:
            await enter(client, served)
            async with served.socket(client) as page_socket:
                await asyncio.wait_for(shown(page_socket, b"NEGATED"), 60)
                served.process.send_signal(number)
                async with asyncio.timeout(60):
                    async for _ in page_socket:
                        pass
                assert page_socket.close_code == aiohttp.WSCloseCode.GOING_AWAY, "the server waits for no page"
                assert await asyncio.to_thread(served.process.wait, 120) == 0
    await until(lambda: not open_sessions(workspace), "ending the server did not end the session of its page")
    assert workspace.rows("SELECT * FROM lease") == []
