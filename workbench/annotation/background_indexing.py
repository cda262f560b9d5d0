"""Works out what is to be known for browsing, full text and the checks' marks, while the browse room is open."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from curation_db.errors import RecordError
from curation_db.lint.index import IndexProgress, LintIndexer
from curation_db.search import fulltext
from curation_db.storage.store import Store

_REST_S = 0.02
"""Between two batches: a page of rows and a key's own transaction get in."""
_TELL_EVERY = 20
"""Batches: the room says how far it is about once a second."""


class IndexingThread:
    """A thread of its own; stopped at any time it loses nothing."""

    def __init__(self, store: Store, tell: Callable[[], None]) -> None:
        """`tell` is called from the thread, now and then and at the end."""
        self._store, self._tell = store, tell
        self._marker = LintIndexer(store)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="marking", daemon=True)
        self.progress: IndexProgress | None = None
        """As of the last look; None: there was none yet."""
        self.wrote = False
        """Whether there was anything to do."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop; safe twice. Not waited for: a batch is a transaction."""
        self._stop.set()

    def _work(self) -> None:
        with contextlib.suppress(RecordError):  # busy or not to be written: the room shows what there is
            fulltext.refresh(self._store)
        batches, more = 0, True
        while more and not self._stop.is_set():
            with contextlib.suppress(RecordError):
                more = self._marker.step()
                batches += 1
                self.wrote = self.wrote or more
            if batches % _TELL_EVERY == 1 or not more:
                self._look()
            self._stop.wait(_REST_S)

    def _look(self) -> None:
        with contextlib.suppress(RecordError):
            self.progress = self._marker.progress
        if not self._stop.is_set():
            self._tell()
