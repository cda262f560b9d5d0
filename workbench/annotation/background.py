"""Background threads of a session: one computes the priorities of the queue, one builds the search and lint indexes.

Both work in short batches with pauses between them, so that no key press waits for a write lock.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from curation_db.errors import RecordError
from curation_db.lint.index import IndexProgress, LintIndexer
from curation_db.lint.linter import DEFAULTS, LintSettings
from curation_db.queue.ordering import Policy, Refresher, RefreshProgress
from curation_db.search import fulltext
from curation_db.storage.store import Store

_PRIORITY_PAUSE_S = 0.05
"""Between two batches of priorities; the transaction of a key press fits in."""
_PRIORITY_POLL_S = 30.0
"""Between two checks for new candidates and verdicts."""
_INDEX_PAUSE_S = 0.02
"""Between two batches of the index; a page of rows and the transaction of a key press fit in."""
_REPORT_EVERY = 20
"""Batches; about one report a second."""


class PriorityRefreshThread:
    """Keeps the stored priorities of the queue up to date. It loses no work when it is stopped."""

    def __init__(self, store: Store, policy: Policy, checks: LintSettings = DEFAULTS) -> None:
        self._refresher = Refresher(store, policy, checks)
        self._policy = policy
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="priority-refresh", daemon=True)
        self.progress = RefreshProgress()
        """The progress after the last batch."""

    def start(self) -> None:
        """Start the thread, unless the priorities of the policy need no refresh."""
        if self._policy.needs_refresh:
            self._thread.start()

    def close(self) -> None:
        """Stop the thread. A second call does nothing."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @property
    def label(self) -> str:
        """The name of the policy, with the share of refreshed priorities while that is under 1."""
        if not self._policy.needs_refresh or self.progress.share >= 1:
            return self._policy.name
        return f"{self._policy.name} {self.progress.share:.0%}"

    def _run(self) -> None:
        while not self._stop.is_set():
            more = False
            with contextlib.suppress(RecordError):  # the record is busy: the next round tries again
                more = self._refresher.step()
                self.progress = self._refresher.progress
            self._stop.wait(_PRIORITY_PAUSE_S if more else _PRIORITY_POLL_S)


class IndexingThread:
    """Builds the full-text index and the lint index while Browse is open. It loses no work when it is stopped."""

    def __init__(self, store: Store, on_progress: Callable[[], None], checks: LintSettings = DEFAULTS) -> None:
        """Args:
        store: The record.
        on_progress: Called in the thread, about once a second and at the end.
        """
        self._store, self._on_progress = store, on_progress
        self._indexer = LintIndexer(store, checks)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="indexing", daemon=True)
        self.progress: IndexProgress | None = None
        """None: not computed yet."""
        self.wrote = False
        """Whether the index was out of date."""

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop the thread without waiting for it, since each batch is a transaction. A second call does nothing."""
        self._stop.set()

    def _run(self) -> None:
        with contextlib.suppress(RecordError):  # the record is busy or read-only: Browse lists what is indexed
            fulltext.refresh(self._store)
        batches, more = 0, True
        while more and not self._stop.is_set():
            with contextlib.suppress(RecordError):
                more = self._indexer.step()
                batches += 1
                self.wrote = self.wrote or more
            if batches % _REPORT_EVERY == 1 or not more:
                self._report()
            self._stop.wait(_INDEX_PAUSE_S)

    def _report(self) -> None:
        with contextlib.suppress(RecordError):
            self.progress = self._indexer.progress
        if not self._stop.is_set():
            self._on_progress()
