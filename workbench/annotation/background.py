"""Works the queue's policy out while a person decides: a batch, then a rest, so that no key ever waits for it."""

from __future__ import annotations

import contextlib
import threading

from curation_db.errors import RecordError
from curation_db.lint.linter import DEFAULTS, LintSettings
from curation_db.queue.ordering import Policy, Refresher, RefreshProgress
from curation_db.storage.store import Store

_REST_S = 0.05
"""Between two batches: a key's own transaction gets in."""
_LOOK_S = 30.0
"""Between two looks whether something new has come in."""


class PriorityRefreshThread:
    """A thread of its own; stopped at any time it loses nothing."""

    def __init__(self, store: Store, policy: Policy, checks: LintSettings = DEFAULTS) -> None:
        self._refresher = Refresher(store, policy, checks)
        self._policy = policy
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="refreshing", daemon=True)
        self.progress = RefreshProgress()
        """As of the last batch."""

    def start(self) -> None:
        """Begin, unless the policy is always worked out."""
        if not self._policy.always_stored:
            self._thread.start()

    def close(self) -> None:
        """Stop; safe twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @property
    def said(self) -> str:
        """The policy by name, and how far it is where it is not done."""
        if self._policy.always_stored or self.progress.share >= 1:
            return self._policy.name
        return f"{self._policy.name} {self.progress.share:.0%}"

    def _work(self) -> None:
        while not self._stop.is_set():
            more = False
            with contextlib.suppress(RecordError):  # busy: the next round tries again
                more = self._refresher.step()
                self.progress = self._refresher.progress
            self._stop.wait(_REST_S if more else _LOOK_S)
