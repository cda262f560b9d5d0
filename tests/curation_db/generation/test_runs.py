"""Generation runs in the record: stored values, lost runs, and invalid rows."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from dataclasses import replace

import pytest
from sqlalchemy import text
from support.record import Record

from curation_db.enums import GenerationState, StopReason
from curation_db.generation.runs import (
    HEARTBEAT_TIMEOUT_S,
    OutcomeCount,
    StageProgress,
    count_outcomes,
    end_run,
    failures,
    get_run,
    list_runs,
    record_heartbeat,
    start_run,
)
from curation_db.storage.ids import utc_text


def _start(record: Record, recipe: str = "abc", **settings: object) -> int:
    with record.store.write() as connection:
        return start_run(connection, recipe=recipe, settings=settings)


def _item(record: Record, run: int, n: int, status: str, reason: str | None = None, *, item: str = "") -> None:
    with record.store.write() as connection:
        connection.execute(
            text("""INSERT INTO generation_item(recipe, item, run_id, image_id, status, reason, detail, attempts,
                                                created_at)
                    VALUES ('abc', :item, :run, :n, :status, :reason, 'no answer', 2, '2026-01-01T00:00:00.000Z')"""),
            {"item": item or f"caption/{n}", "run": run, "n": n, "status": status, "reason": reason},
        )


def test_run_is_read_back(record: Record) -> None:
    run = _start(record, pipeline="P1", simulated=["script"])
    # fmt: off
    progress = StageProgress(
        items_total=10, items_done=4, items_kept=3, dropped=1, cost=0.25, eta_s=12.5, note="asking",
        stages={"propose": {"asked": 4, "answered": 4, "failed": 0, "remembered": 1}}, reasons={"present": 1},
        capacity={"qwen": 32},
    )
    # fmt: on
    with record.store.write() as connection:
        record_heartbeat(connection, run, progress)
    with record.store.read() as connection:
        row = get_run(connection, run)
    assert row is not None
    assert row.progress == progress
    assert (row.recipe, row.settings) == ("abc", {"pipeline": "P1", "simulated": ["script"]})
    assert (row.host, row.pid) == (socket.gethostname(), os.getpid())
    assert row.running
    assert not row.lost
    assert row.ended_at is None


def test_end_is_stored_and_newest_runs_come_first(record: Record) -> None:
    first, second = _start(record), _start(record, "def")
    with record.store.write() as connection:
        # fmt: off
        end_run(connection, first, GenerationState.STOPPED, {"kept": 2}, "the budget is reached\x1b]0;pwned\x07",
                stop_reason=StopReason.BUDGET)
        # fmt: on
    with record.store.read() as connection:
        rows = list_runs(connection, 10)
        assert get_run(connection, 99) is None
        assert [row.id for row in list_runs(connection, 1)] == [second]
    assert [row.id for row in rows] == [second, first]
    stopped = rows[1]
    assert (stopped.state, stopped.progress.items_kept) == (GenerationState.STOPPED, 2)
    assert stopped.message == "the budget is reached]0;pwned"
    assert stopped.stop_reason is StopReason.BUDGET
    assert rows[0].stop_reason is None
    assert stopped.ended_at is not None
    assert not stopped.lost
    assert not stopped.running


def test_a_run_is_lost_when_its_process_is_gone_or_it_is_silent(record: Record) -> None:
    run = _start(record)
    with record.store.read() as connection:
        row = get_run(connection, run)
    assert row is not None
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert replace(row, pid=gone.pid).lost
    silent = utc_text(time.time() - HEARTBEAT_TIMEOUT_S - 1)
    assert replace(row, beat_at=silent).lost
    elsewhere = replace(row, host="elsewhere", pid=gone.pid)
    assert not elsewhere.lost, "a process of another machine cannot be checked"
    assert replace(elsewhere, beat_at=silent).lost
    assert replace(row, beat_at="yesterday").lost
    # a process that started after the run cannot be the run, even with the same id
    assert replace(row, started_at=utc_text(time.time() - 40_000_000)).lost
    assert not replace(row, beat_at=silent, state=GenerationState.DONE).lost


def test_outcomes_are_counted_by_status_and_reason(record: Record) -> None:
    record.add(5)
    run = _start(record)
    for n, (status, reason) in enumerate(
        [("kept", None), ("dropped", "present"), ("dropped", "present"), ("failed", "failed:timeout"), ("kept", None)],
        start=1,
    ):
        _item(record, run, n, status, reason)
    with record.store.read() as connection:
        assert count_outcomes(connection, "abc") == [
            OutcomeCount("dropped", "present", 2),
            OutcomeCount("kept", "", 2),
            OutcomeCount("failed", "failed:timeout", 1),
        ]
        assert count_outcomes(connection, "other") == []


def test_failures_name_image_and_text(record: Record) -> None:
    record.add(3)
    with record.store.write() as connection:
        connection.execute(
            text("""INSERT INTO visual_question(id, source_id, key, image_id, text, answer)
                    VALUES (7, 1, 'q7', 3, 'is there a dog?', 'no')""")
        )
    run, other = _start(record), _start(record)
    _item(record, run, 1, "kept")
    _item(record, run, 2, "dropped", "present")
    _item(record, run, 3, "failed", "failed:timeout", item="question/7")
    with record.store.read() as connection:
        value = failures(connection, run_id=run)
        assert failures(connection, run_id=other) == []
        assert failures(connection, recipe="abc") == value
        assert [each.item for each in failures(connection, run_id=run, limit=1)] == ["question/7"]
        with pytest.raises(ValueError, match="either"):
            failures(connection)
    assert [(each.item, each.status, each.reason, each.text) for each in value] == [
        ("question/7", "failed", "failed:timeout", "is there a dog?"),
        ("caption/2", "dropped", "present", "a woman riding a horse"),
    ]
    assert (value[1].picture, value[1].file_name, value[1].detail, value[1].attempts) == (
        "coco/2",
        "2.jpg",
        "no answer",
        2,
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {"kept": "many", "cost": float("nan"), "eta_s": float("inf"), "stages": [1], "reasons": 3},
        {"items_total": True, "kept": -5, "requests": 10**400, "stages": {"propose": None}, "note": ["x"]},
        {"reasons": {f"r{n}": n for n in range(5_000)}, "note": "x" * 10**6, "capacity": {"e": 1.5}},
    ],
)
def test_invalid_progress_fields_are_ignored(value: object) -> None:
    progress = StageProgress.from_dict(value)
    assert progress.items_total is None
    assert progress.items_kept == 0
    assert progress.cost == 0
    assert progress.eta_s is None
    assert len(progress.reasons) <= 200
    assert len(progress.note) <= 1_000
    assert StageProgress.from_dict(json.loads(json.dumps(progress.to_dict()))) == progress


def test_a_row_that_is_no_json_reads_as_empty(record: Record) -> None:
    run = _start(record)
    with record.store.write() as connection:
        connection.execute(
            text("UPDATE generation_run SET settings = '[', progress = 'x', state = 'dreaming' WHERE id = :id"),
            {"id": run},
        )
    with record.store.read() as connection:
        row = get_run(connection, run)
    assert row is not None
    assert (row.settings, row.progress, row.state) == ({}, StageProgress(), GenerationState.FAILED)
