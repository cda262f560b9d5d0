"""Access to the pages of `negwb serve`: which browsers, how many pages, and which clicks count. No network."""

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
"""Bit of an SGR mouse report for a movement of the pointer."""
_WHEEL: Final = 64
"""Bit for a turn of the wheel."""


class Gate:
    """Exchanges the token of a printed address for the key of one browser.

    Each token works once. A new token replaces it, so exactly one address admits a browser at any time.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self.cookie = f"negwb_{secrets.token_hex(4)}"
        """With a random part, since all ports of a host share cookies and two servers must not replace each other's."""
        self._keys: list[str] = []

    def exchange(self, token: str) -> str | None:
        """Return the key for a new browser, and replace the token; None: the token is wrong."""
        if not _equal(token, self.token):
            return None
        self.token = secrets.token_urlsafe(24)
        self._keys.append(secrets.token_urlsafe(24))
        return self._keys[-1]

    def knows(self, key: str) -> bool:
        """Return whether this key was issued."""
        return any([_equal(key, known) for known in self._keys])


def _equal(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), known.encode())


class Pages:
    """Slots for pages; a page keeps its slot until its process has ended."""

    def __init__(self, limit: int, *, patience_s: float) -> None:
        self.limit = limit
        self._patience_s = patience_s
        self._free = asyncio.Semaphore(limit)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[bool]:
        """Hold a slot within the block; False: none is free.

        Waits a little for one, since a page that is reloaded gets the slot that it has just left.
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
    """Drops the click that only gives a page the focus: the first one after the page opened or lost the focus.

    A page in which a key was pressed has the focus already.
    """

    def __init__(self) -> None:
        self._awaited = True
        self._pressed: str | None = None
        """The button whose press was dropped; its release and its drags are dropped, too."""

    def blurred(self) -> None:
        """Record that the page lost the focus."""
        self._awaited = True

    def passes(self, data: str) -> bool:
        """Return whether the app may get an input; `data` is one key or one report of the browser's terminal."""
        report = _MOUSE.fullmatch(data)
        if report is None:
            if not data.startswith("\x1b"):  # replies of the terminal are not keys
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
