"""Which browsers may open a page of `negwb serve`, how many pages there are, and which click counts. No network."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_MOUSE: Final = re.compile(r"\x1b\[<(?P<button>\d+);\d+;\d+(?P<kind>[Mm])")
_MOTION: Final = 32
"""A report of SGR mouse mode has this bit where the pointer moved,"""
_WHEEL: Final = 64
"""and this one where the wheel turned."""


class Gate:
    """Exchanges the token of a printed address, once, for the key of one browser.

    A new token replaces each one that is used, so that there is always exactly one address that lets a browser in.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self.cookie = f"negwb_{secrets.token_hex(4)}"
        """Cookies of one host are shared by all its ports: two servers must not replace each other's."""
        self._keys: list[str] = []

    def exchange(self, token: str) -> str | None:
        """The key of a new browser, or None where the token is not the present one. The token is used up."""
        if not _equal(token, self.token):
            return None
        self.token = secrets.token_urlsafe(24)
        self._keys.append(secrets.token_urlsafe(24))
        return self._keys[-1]

    def knows(self, key: str) -> bool:
        """Whether a browser got this key here."""
        return any([_equal(key, known) for known in self._keys])


def _equal(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), known.encode())


class Pages:
    """The places for pages; a page keeps its place until its process has ended."""

    def __init__(self, limit: int, *, patience_s: float) -> None:
        self.limit = limit
        self._patience_s = patience_s
        self._free = asyncio.Semaphore(limit)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[bool]:
        """Holds a place within the block; False: there is none.

        It waits for one, because a page that is loaded again gets the place that it has just left.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                await self._free.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._free.release()


class FirstClick:
    """Holds back the click that brings a page the focus: the first one after it opened, or after it lost the focus.

    A page in which a key was pressed has the focus already.
    """

    def __init__(self) -> None:
        self._awaited = True
        self._pressed: str | None = None
        """The button whose press was held back; its release and its drags are held back, too."""

    def blurred(self) -> None:
        """The page lost the focus."""
        self._awaited = True

    def passes(self, data: str) -> bool:
        """Whether the app may have this input; `data` is what the browser's terminal sends for one key or report."""
        report = _MOUSE.fullmatch(data)
        if report is None:
            if not data.startswith("\x1b"):  # a terminal's own replies are no keys
                self._awaited = False
            return True
        code, released = int(report["button"]), report["kind"] == "m"
        button = str(code & ~_MOTION)
        if code & _WHEEL:
            return True
        if self._pressed is not None and button == self._pressed:
            if released:
                self._pressed = None
            return False
        if code & _MOTION or released or not self._awaited:
            return True
        self._awaited, self._pressed = False, button
        return False
