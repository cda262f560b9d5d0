"""What the downloads of a call share: which servers are given up, until when a file must come, how all end at once.

A server is given up when it does not answer, when it answers wrongly for several files in a row, and when it asks for a
longer wait than a person at a terminal accepts. The whole call ends when no file came for `patience_s`, whatever the
servers do: each connection is shut down then, so that one which drips a byte per second ends like any other.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

_WATCH_S: Final = 0.1
"""How late the end of the patience may be noticed."""
_CONNECTED: Final = ("connect_tcp.complete", "start_tls.complete")
"""Ends of httpcore's trace events that bring a new stream."""


class BenchCall:
    """For all threads of a call; a context manager, since a thread of its own watches the time."""

    def __init__(self, patience_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.stop = threading.Event()
        """Somebody wants out."""
        self.given_up: dict[str, str] = {}
        """Host -> why it is not asked any more."""
        self.last_trouble = ""
        """Why the latest try failed."""
        self.patience_s = patience_s
        self._clock = clock
        self._answers: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._streams: list[Any] = []
        self._is_cut = False
        self._over = threading.Event()
        self._until = clock() + patience_s
        self._watch = threading.Thread(target=self._watch_time, name="patience", daemon=True)

    def __enter__(self) -> BenchCall:
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()

    @property
    def expired(self) -> bool:
        """Whether no file came for too long; it stays so."""
        return self._is_cut or self._clock() >= self._until

    def now(self) -> float:
        """Seconds by the clock of this call."""
        return self._clock()

    def wait(self, seconds: float) -> None:
        """Until then, or until nothing is worth waiting for."""
        self.stop.wait(max(0.0, min(seconds, self._until - self._clock())))

    def came(self, host: str) -> None:
        """A whole and right file came from `host`."""
        self._wrong[host] = 0
        self.renew()

    def renew(self) -> None:
        """The patience begins anew."""
        self._until = self._clock() + self.patience_s

    def went_wrong(self, host: str) -> int:
        """`host` answered, and not with the file that was asked for: how many files in a row."""
        self._wrong[host] += 1
        return self._wrong[host]

    def answers(self, host: str) -> int:
        """How often it has answered so far."""
        return self._answers[host]

    def answered(self, host: str) -> None:
        """It did, whatever it answered."""
        self._answers[host] += 1

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore's trace extension: notes the connections."""
        if event.endswith(_CONNECTED):
            with self._lock:
                self._streams.append(info["return_value"])
                if self._is_cut:
                    _shut(self._streams)

    def end(self) -> None:
        """Stop every download now, in the middle of its bytes too."""
        self.stop.set()
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            self._is_cut = True
            _shut(self._streams)

    def _watch_time(self) -> None:
        while not self._over.wait(_WATCH_S):
            if self._clock() >= self._until:
                self._cut()
                return


def _shut(streams: list[Any]) -> None:
    for stream in streams:
        connection = stream.get_extra_info("socket")
        with suppress(OSError):  # closed by now
            connection.shutdown(socket.SHUT_RDWR)
