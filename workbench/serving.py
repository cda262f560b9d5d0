"""The curate app in a browser, through textual-serve: each page that opens is a process of its own, with its own desk.

There is no login, so the server listens to this machine alone unless told otherwise, and to its own pages alone in any
case: another site that the person visits may not open a sitting here, neither directly (`Origin`) nor under a name
that it points at this machine (`Host`).
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
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


class OwnPagesServer(Server):
    """Serves `command` and tells `ready` when it does."""

    def __init__(self, command: str, *, host: str, port: int, ready: Callable[[], None]) -> None:
        super().__init__(command, host=host, port=port, title="negwb", public_url=address(host, port))
        self._ready = ready

    def serve(self, debug: bool = False) -> None:
        """Until ctrl-c or a termination; quiet but for trouble. `ready` is called once the port listens.

        Raises:
            OSError: it cannot listen there.
        """
        logging.basicConfig(level=logging.WARNING, format="negwb: %(message)s")
        self.debug = debug
        web.run_app(self._make_app(), host=self.host, port=self.port, print=lambda *_: self._ready(), access_log=None)

    async def on_startup(self, app: web.Application) -> None:
        """No banner."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._own_pages_only)
        return app

    async def handle_index(self, request: web.Request) -> Any:
        """The page, which finds everything under the name by which it was itself asked for."""
        self.public_url = f"http://{request.host}"
        return await super().handle_index(request)

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
