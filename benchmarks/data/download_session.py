"""Shared state of several downloads: servers that are given up, the deadline, and the connections to close.

A server is given up if it does not answer, sends several wrong files in a row, or asks for a wait longer than the
limit. The session ends if no file is received for `patience_s`: all connections are then closed, including those that
still receive single bytes.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

_WATCH_S: Final = 0.1
"""Interval at which the deadline is checked."""
_CONNECTED: Final = ("connect_tcp.complete", "start_tls.complete")
"""Suffixes of httpcore's trace events that carry a new stream."""


class DownloadSession:
    """State of a download session, used by all its threads; a context manager, because a thread checks the deadline."""

    def __init__(self, patience_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.stop = threading.Event()
        """Set to stop all downloads."""
        self.given_up: dict[str, str] = {}
        """Host to the reason why it is given up."""
        self.last_problem = ""
        """Reason of the latest failed try."""
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

    def __enter__(self) -> DownloadSession:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed; never becomes False again after the connections were closed."""
        return self._is_cut or self._clock() >= self._until

    def now(self) -> float:
        """Return the time of the session's clock in seconds."""
        return self._clock()

    def wait(self, seconds: float) -> None:
        """Wait for some seconds, or until the deadline or the stop."""
        self.stop.wait(max(0.0, min(seconds, self._until - self._clock())))

    def file_received(self, host: str) -> None:
        self._wrong[host] = 0
        self.renew_deadline()

    def renew_deadline(self) -> None:
        """Restart the time until the deadline."""
        self._until = self._clock() + self.patience_s

    def count_failure(self, host: str) -> int:
        """Count an answer of `host` without a valid file; return the number of such files in a row."""
        self._wrong[host] += 1
        return self._wrong[host]

    def answer_count(self, host: str) -> int:
        return self._answers[host]

    def count_answer(self, host: str) -> None:
        """Count an answer of `host`, valid or not."""
        self._answers[host] += 1

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Store new connections; a callback for httpcore's trace extension."""
        if event.endswith(_CONNECTED):
            with self._lock:
                self._streams.append(info["return_value"])
                if self._is_cut:
                    _shut(self._streams)

    def stop_all(self) -> None:
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
        with suppress(OSError):  # already closed
            connection.shutdown(socket.SHUT_RDWR)
