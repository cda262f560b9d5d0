"""The curate app in a browser, through textual-serve: each page that opens is a process of its own, with its own desk.

The printed address has a token that lets one browser in, once; nothing is served to any other. The connection is not
encrypted, so the server listens to this machine alone unless told otherwise. It serves its own pages alone in any
case: another site that the person visits may not open a sitting here, neither directly (`Origin`) nor under a name
that it points at this machine (`Host`).
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
_PLACE_S: Final = 5.0
"""How long a page waits for a place."""
_REFUSED: Final = (
    "negwb: this browser was not let in. Open the newest address that negwb serve printed in its terminal: "
    "each one lets one browser in, once.\n"
)
_HEADERS = {
    # textual-serve's page asks Google for a font: nobody else need know who curates, and when
    "Content-Security-Policy": "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def address(host: str, port: int) -> str:
    """The page's address."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _until_a_signal(app: web.Application) -> AsyncIterator[None]:
    """SIGTERM and SIGHUP end the server as Ctrl-C does; a second one does not cut its shutdown short."""
    ends = False

    def hear(_number: signal.Signals) -> None:
        nonlocal ends
        if not ends:
            ends = True
            raise web.GracefulExit

    with interruption.heard_by(asyncio.get_running_loop(), hear):
        yield


class OwnPagesServer(Server):
    """Serves `command` and tells `ready` when it does; `admitted` is called for each browser that was let in."""

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
        self._gate, self._pages = Gate(), Pages(pages, patience_s=_PLACE_S)
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def entrance(self) -> str:
        """The address that lets one more browser in."""
        return f"{address(self.host, self.port)}/?{_TOKEN}={self._gate.token}"

    def serve(self, debug: bool = False) -> None:
        """Until ctrl-c or a termination; quiet but for trouble. `ready` is called once the port listens.

        Raises:
            OSError: it cannot listen there.
        """
        logging.basicConfig(level=logging.WARNING, format="negwb: %(message)s")
        self.debug = debug
        web.run_app(self._make_app(), host=self.host, port=self.port, print=lambda *_: self._ready(), access_log=None)

    async def on_startup(self, app: web.Application) -> None:
        """No banner. SIGHUP ends the server as SIGTERM does, unless it was ignored from the start."""
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.request_exit)

    async def on_shutdown(self, app: web.Application) -> None:
        """Close the pages, whose processes end then; otherwise the server would wait for people to close them."""
        pages = list(self._sockets)
        await asyncio.gather(*(page.close(code=WSCloseCode.GOING_AWAY) for page in pages), return_exceptions=True)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.extend([self._own_pages_only, self._admitted_only])
        app.cleanup_ctx.append(_until_a_signal)
        return app

    async def handle_index(self, request: web.Request) -> Any:
        """The page, which finds everything under the name by which it was itself asked for."""
        self.public_url = f"http://{request.host}"
        return await super().handle_index(request)

    async def handle_websocket(self, request: web.Request) -> Any:
        """The process of a page, while there is a place for it."""
        async with self._pages.place() as free:
            return await super().handle_websocket(request) if free else await self._refuse(request)

    async def _refuse(self, request: web.Request) -> web.WebSocketResponse:
        """Shows why no app runs in the page's terminal."""
        limit = self._pages.limit
        reason = "its only page is open" if limit == 1 else f"all its {limit} pages are open"
        hint = "close one and open this one again, or start it with a larger --pages"
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_bytes(f"negwb serve has no place left: {reason};\r\n{hint}\r\n".encode())
        await websocket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        return websocket

    async def _process_messages(self, websocket: web.WebSocketResponse, app_service: AppService) -> None:
        """As in textual-serve, but for the click that only brings the focus."""
        self._sockets.add(websocket)
        try:
            await super()._process_messages(_WithoutFirstClick(websocket), app_service)  # type: ignore[arg-type]
        finally:
            self._sockets.discard(websocket)

    @web.middleware
    async def _own_pages_only(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_own(request):
            raise web.HTTPForbidden(text="negwb: only this server's own page may ask for that")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _is_own(self, request: web.Request) -> bool:
        asked = urlsplit(f"//{request.host}").hostname or ""
        if is_loopback(self.host) and not is_loopback(asked):
            return False
        origin = request.headers.get("Origin")
        return origin is None or urlsplit(origin).netloc == request.host

    @web.middleware
    async def _admitted_only(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        known = self._gate.knows(request.cookies.get(self._gate.cookie, ""))
        given = request.query.get(_TOKEN) if request.path == "/" and request.method == "GET" else None
        if given is None and known:
            return await handler(request)
        key = self._gate.exchange(given) if given is not None and not known else None
        if key is None and not known:
            raise web.HTTPForbidden(text=_REFUSED)
        # The browser goes on without the token, which is not to stay in its history.
        onward = str(request.rel_url.without_query_params(_TOKEN))
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": onward})
        if key is not None:
            response.set_cookie(self._gate.cookie, key, httponly=True, samesite="Lax")
            self._admitted()
        return response


class _WithoutFirstClick:
    """The messages of a page, without the click that only brings the focus and without what is no message."""

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
