"""The counters of a run do not grow with its items."""

from __future__ import annotations

from curation_db.enums import ItemStatus
from workbench.generation.models import ItemResult
from workbench.generation.runs.counters import RunCounters


def test_reasons_that_all_differ_are_counted_together_after_the_first_hundred() -> None:
    counters = RunCounters(None)
    for number in range(1_000):
        counters.count_results(
            [ItemResult(item=f"caption/{number}", status=ItemStatus.FAILED, reason=f"failed:request {number}")]
        )
    counters.count_results([ItemResult(item="caption/0", status=ItemStatus.FAILED, reason="failed:request 1")])
    assert len(counters.reasons) == len(counters.failures) == 101
    assert counters.reasons["other reasons"] == 900
    assert counters.reasons["failed:request 1"] == 2
    assert counters.reasons.total() == 1_001
