"""The curate app in a browser, through textual-serve: each page is a process of its own with its own session.

The printed address has a token that admits one browser, once. The connection is not encrypted, so the server listens
only on this machine unless the user names another host. Requests of other sites are refused, both direct ones
(`Origin`) and those through a host name that points at this machine (`Host`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from workbench.console import interruption
from workbench.page_access import FirstClick, Gate, Pages

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PAGE: Final = Path(__file__).with_name("data") / "page"
_TOKEN: Final = "token"
_SLOT_WAIT_S: Final = 5.0
"""A page waits at most so long for a slot."""
_REFUSED: Final = (
    "negwb: this browser was not admitted. Open the newest address that negwb serve printed in its terminal: "
    "each address admits one browser, once.\n"
)
_HEADERS = {
    # The page of textual-serve requests a font from Google, which would learn who curates and when.
    "Content-Security-Policy": "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """Return whether a host is reachable only from this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _end_on_signals(app: web.Application) -> AsyncIterator[None]:
    """End the server on SIGTERM and SIGHUP as on Ctrl-C; further signals do not interrupt the shutdown."""
    ending = False

    def on_signal(_number: signal.Signals) -> None:
        nonlocal ending
        if not ending:
            ending = True
            raise web.GracefulExit

    with interruption.heard_by(asyncio.get_running_loop(), on_signal):
        yield


class OwnPagesServer(Server):
    """Server of `command`. It calls `ready` when the port listens, and `admitted` for each admitted browser."""

    def __init__(
        self,
        command: str,
        *,
        host: str,
        port: int,
        pages: int,
        ready: Callable[[], None],
        admitted: Callable[[], None],
    ) -> None:
        super().__init__(
            command, host=host, port=port, title="negwb", public_url=address(host, port), templates_path=_PAGE
        )
        self._ready, self._admitted = ready, admitted
        self._gate, self._pages = Gate(), Pages(pages, patience_s=_SLOT_WAIT_S)
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def entrance(self) -> str:
        """The address that admits one more browser."""
        return f"{address(self.host, self.port)}/?{_TOKEN}={self._gate.token}"

    def serve(self, debug: bool = False) -> None:
        """Serve until Ctrl-C, SIGTERM or SIGHUP; log only warnings.

        Raises:
            OSError: The port cannot be used.
        """
        logging.basicConfig(level=logging.WARNING, format="negwb: %(message)s")
        self.debug = debug
        web.run_app(self._make_app(), host=self.host, port=self.port, print=lambda *_: self._ready(), access_log=None)

    async def on_startup(self, app: web.Application) -> None:
        """Print no banner. End the server on SIGHUP as on SIGTERM, unless SIGHUP was ignored at the start."""
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.request_exit)

    async def on_shutdown(self, app: web.Application) -> None:
        """Close the pages and so end their processes; otherwise the server would wait for the users to close them."""
        pages = list(self._sockets)
        await asyncio.gather(*(page.close(code=WSCloseCode.GOING_AWAY) for page in pages), return_exceptions=True)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.extend([self._own_pages_only, self._admitted_only])
        app.cleanup_ctx.append(_end_on_signals)
        return app

    async def handle_index(self, request: web.Request) -> Any:
        """Serve the page; its addresses use the host name of the request."""
        self.public_url = f"http://{request.host}"
        return await super().handle_index(request)

    async def handle_websocket(self, request: web.Request) -> Any:
        """Run the process of a page while a slot is free."""
        async with self._pages.slot() as free:
            return await super().handle_websocket(request) if free else await self._refuse(request)

    async def _refuse(self, request: web.Request) -> web.WebSocketResponse:
        """Show in the terminal of the page why no app runs."""
        limit = self._pages.limit
        reason = "its only page is open" if limit == 1 else f"all its {limit} pages are open"
        hint = "close one and open this one again, or start it with a larger --pages"
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_bytes(f"negwb serve has no page left: {reason};\r\n{hint}\r\n".encode())
        await websocket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        return websocket

    async def _process_messages(self, websocket: web.WebSocketResponse, app_service: AppService) -> None:
        """As in textual-serve, without the click that only gives the focus."""
        self._sockets.add(websocket)
        try:
            await super()._process_messages(_WithoutFirstClick(websocket), app_service)  # type: ignore[arg-type]
        finally:
            self._sockets.discard(websocket)

    @web.middleware
    async def _own_pages_only(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_own(request):
            raise web.HTTPForbidden(text="negwb: only a page of this server may request this")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _is_own(self, request: web.Request) -> bool:
        hostname = urlsplit(f"//{request.host}").hostname or ""
        if is_loopback(self.host) and not is_loopback(hostname):
            return False
        origin = request.headers.get("Origin")
        return origin is None or urlsplit(origin).netloc == request.host

    @web.middleware
    async def _admitted_only(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_admitted = self._gate.knows(request.cookies.get(self._gate.cookie, ""))
        token = request.query.get(_TOKEN) if request.path == "/" and request.method == "GET" else None
        if token is None and is_admitted:
            return await handler(request)
        key = self._gate.exchange(token) if token is not None and not is_admitted else None
        if key is None and not is_admitted:
            raise web.HTTPForbidden(text=_REFUSED)
        # Redirect to the address without the token, which must not stay in the history of the browser.
        location = str(request.rel_url.without_query_params(_TOKEN))
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location})
        if key is not None:
            response.set_cookie(self._gate.cookie, key, httponly=True, samesite="Lax")
            self._admitted()
        return response


class _WithoutFirstClick:
    """Messages of a page, without the click that only gives the focus and without invalid messages."""

    def __init__(self, websocket: web.WebSocketResponse) -> None:
        self.send_json = websocket.send_json
        self._websocket = websocket

    async def __aiter__(self) -> AsyncIterator[WSMessage]:
        click = FirstClick()
        async for message in self._websocket:
            match _envelope(message):
                case ["stdin", str() as data]:
                    if click.passes(data):
                        yield message
                case ["blur", *_]:
                    click.blurred()
                    yield message
                case [str() as kind, *_] if kind != "stdin":
                    yield message


def _envelope(message: WSMessage) -> object:
    try:
        return message.json() if message.type is WSMsgType.TEXT else None
    except ValueError:
        return None
