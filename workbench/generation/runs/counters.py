"""Counters of a run, for the progress line, the record and the screen."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from curation_db.enums import ItemStatus, Stage
from curation_db.generation.progress import StageProgress
from workbench.generation.engines.requests import ModelAnswer, RequestFailure
from workbench.generation.models import ItemResult

_JUDGED: Final = frozenset({Stage.PRESENCE, Stage.ACCEPTABLE})
_WINDOW_S: Final = 30.0
"""Length of the window of rates."""


_MOST_REASONS: Final = 100
"""Different reasons that are counted: errors of a plug-in may all differ."""
_OTHER_REASONS: Final = "other reasons"


class _Rate:
    """Rate per second over the last `_WINDOW_S` seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])
        self.total = 0

    def add(self, number: int) -> None:
        self.total += number

    def per_s(self) -> float:
        now = self._clock()
        if now - self._marks[-1][0] >= 1.0:
            self._marks.append((now, self.total))
        while len(self._marks) > 1 and now - self._marks[1][0] > _WINDOW_S:
            self._marks.popleft()
        then, before = self._marks[0]
        return (self.total - before) / (now - then) if now > then else 0.0


class RunCounters:
    """Counters of a run."""

    def __init__(
        self, total: int | None, *, least_label_mass: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start at zero.

        Args:
            total: Number of items to process, if known.
            least_label_mass: Below this P(yes) + P(no) an answer is unclear.
            clock: Seconds.
        """
        self.total = total
        self._least_label_mass = least_label_mass
        self.note = ""
        self.cost = 0.0
        self.tokens = 0
        self.requests = 0
        self.statuses: Counter[ItemStatus] = Counter()
        self.reasons: Counter[str] = Counter()
        self.failures: dict[str, str] = {}
        """Reason of failed items to the details of the first one; there are few reasons."""
        self._stages: dict[Stage, Counter[str]] = {}
        self._items, self._sent = _Rate(clock), _Rate(clock)

    def _stage(self, stage: Stage) -> Counter[str]:
        return self._stages.setdefault(stage, Counter())

    def count_request(self, stage: Stage) -> None:
        """Count a request that is sent to an engine."""
        self._stage(stage)["asked"] += 1

    def count_cached(self, stage: Stage, answer: ModelAnswer) -> None:
        """Count a request whose answer is in the cache."""
        self._stage(stage)["remembered"] += 1
        self._count_verdict(stage, answer)

    def count_answer(self, stage: Stage, answer: ModelAnswer) -> None:
        """Count an answer that was stored in the record."""
        self._stage(stage)["failed" if answer.failed else "answered"] += 1
        self._count_verdict(stage, answer)
        self.requests += answer.tries
        self._sent.add(answer.tries)
        self.tokens += (answer.prompt_tokens or 0) + (answer.completion_tokens or 0)
        self.cost += answer.cost or 0.0

    def count_unanswered(self, requests: int) -> None:
        """Count requests that were sent, and whose calls ended without an answer."""
        self.requests += requests
        self._sent.add(requests)

    def _count_verdict(self, stage: Stage, answer: ModelAnswer) -> None:
        """Count a verdict; a judge that answers nothing is unclear."""
        if stage in _JUDGED and (not answer.failed or answer.error == RequestFailure.EMPTY):
            mass = 1.0 if answer.label_mass is None else answer.label_mass
            self._stage(stage)["judged"] += 1
            self._stage(stage)["unclear"] += answer.p is None or mass < self._least_label_mass

    def count_results(self, outcomes: Iterable[ItemResult]) -> None:
        """Count results that were stored in the record."""
        for outcome in outcomes:
            self.statuses[outcome.status] += 1
            known = outcome.reason in self.reasons or len(self.reasons) < _MOST_REASONS
            reason = outcome.reason if known else _OTHER_REASONS
            if outcome.reason:
                self.reasons[reason] += 1
            if outcome.status is ItemStatus.FAILED:
                self.failures.setdefault(reason, outcome.detail)
            self._items.add(1)

    @property
    def main_failure(self) -> str:
        """The most frequent reason of failed items, with the details of its first item."""
        if not self.failures:
            return ""
        reason = max(self.failures, key=lambda each: self.reasons[each])
        return ": ".join(filter(None, (reason.removeprefix("failed:"), self.failures[reason])))

    @property
    def done(self) -> int:
        """Number of processed items."""
        return sum(self.statuses.values())

    def progress(self, in_flight: int, capacity: Mapping[str, int]) -> StageProgress:
        """Return a snapshot of the counters."""
        stages = {str(stage): dict(counts) for stage, counts in self._stages.items()}
        rate = self._items.per_s()
        left = None if self.total is None else max(0, self.total - self.done)
        values: dict[str, Any] = {
            "items_total": self.total,
            "items_done": self.done,
            "kept": self.statuses[ItemStatus.KEPT],
            "dropped": self.statuses[ItemStatus.DROPPED],
            "failed": self.statuses[ItemStatus.FAILED],
            "requests": self.requests,
            "answers": sum(counts["answered"] for counts in self._stages.values()),
            "remembered": sum(counts["remembered"] for counts in self._stages.values()),
            "tokens": self.tokens,
            "cost": round(self.cost, 6),
            "items_per_s": round(rate, 3),
            "requests_per_s": round(self._sent.per_s(), 3),
            "eta_s": round(left / rate, 1) if left is not None and rate > 0 else None,
            "in_flight": in_flight,
            "stages": stages,
            "reasons": dict(self.reasons),
            "capacity": dict(capacity),
            "note": self.note,
        }
        return StageProgress.from_dict(values)
