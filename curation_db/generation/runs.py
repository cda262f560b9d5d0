"""Runs of `negwb generate` in the record: one row per run, updated while it runs, and the results of its items.

A run records a heartbeat about once a second. A run whose row says "running" but whose process has ended is `lost`;
this is derived when the row is read and not stored. A lost run loses no data: the same command resumes it.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, text

from curation_db.enums import GenerationState, ItemStatus, StopReason
from curation_db.foreign_json import JsonError, parse_json
from curation_db.generation.progress import STAGE_COUNTS, StageProgress
from curation_db.language.sanitize import clean
from curation_db.processes import ProcessIdentity, is_alive, is_local
from curation_db.storage.ids import utc_now

__all__ = [
    "STAGE_COUNTS",
    "GenerationRunRow",
    "OutcomeCount",
    "RunFailure",
    "StageProgress",
    "count_outcomes",
    "end_run",
    "failures",
    "get_run",
    "list_runs",
    "record_heartbeat",
    "start_run",
]

HEARTBEAT_TIMEOUT_S: Final = 15.0
"""A run without a heartbeat for this long is lost."""
_COLUMNS = "id, recipe, settings, state, host, pid, started_at, beat_at, ended_at, progress, message"
_UNSUCCESSFUL: Final = (ItemStatus.FAILED, ItemStatus.DROPPED)
_STOP_REASON: Final = "stop_reason"
_FAILURE_SCAN_LIMIT: Final = 50_000
"""Newest items of a run that are scanned for failures, so that the query takes milliseconds for a run of any size."""
_MAX_TEXT_LENGTH: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRunRow:
    """A run as of its last heartbeat."""

    id: int
    recipe: str
    """Hash of the recipe."""
    settings: Mapping[str, Any]
    """Settings of the run; "simulated" lists the scripted engines."""
    state: GenerationState
    """Stored state; see `lost`."""
    host: str
    pid: int
    started_at: str
    beat_at: str
    ended_at: str | None
    progress: StageProgress
    message: str
    stop_reason: StopReason | None = None
    """None: the run did not stop early, or an older negwb wrote the row."""

    @property
    def here(self) -> bool:
        """Whether its process is or was on this machine."""
        return is_local(self.host)

    @property
    def process(self) -> ProcessIdentity:
        return ProcessIdentity(self.host, self.pid, self.started_at)

    @property
    def lost(self) -> bool:
        """Whether its state is running, but its process on this machine ended or its heartbeat timed out."""
        if self.state is not GenerationState.RUNNING:
            return False
        if is_alive(self.process) is False:
            return True
        heartbeat = _seconds(self.beat_at)
        return heartbeat is None or time.time() - heartbeat > HEARTBEAT_TIMEOUT_S

    @property
    def running(self) -> bool:
        """Whether the run is running now."""
        return self.state is GenerationState.RUNNING and not self.lost


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Number of items of a recipe with one result."""

    status: str
    reason: str
    """Empty where the items yielded candidates."""
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """An item without a candidate."""

    item: str
    """caption/ID, question/ID, or candidate/ID where a candidate was only judged."""
    status: str
    reason: str
    detail: str
    picture: str
    """source/key."""
    file_name: str
    text: str
    """Text of the caption, question or candidate, cut to 2,000 characters."""
    attempts: int
    created_at: str


def start_run(connection: Connection, *, recipe: str, settings: Mapping[str, Any], now: str | None = None) -> int:
    """Insert a run of this process; return its id."""
    stamp = now or utc_now()
    row = {
        "recipe": recipe,
        "settings": json.dumps(dict(settings), sort_keys=True, default=str),
        "state": str(GenerationState.RUNNING),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "now": stamp,
    }
    return int(
        connection.execute(
            text("""INSERT INTO generation_run(recipe, settings, state, host, pid, started_at, beat_at, progress)
                    VALUES (:recipe, :settings, :state, :host, :pid, :now, :now, '{}') RETURNING id"""),
            row,
        ).scalar_one()
    )


def record_heartbeat(
    connection: Connection, run_id: int, progress: StageProgress | Mapping[str, Any], *, now: str | None = None
) -> None:
    connection.execute(
        text("UPDATE generation_run SET beat_at = :now, progress = :progress WHERE id = :id"),
        {"id": run_id, "now": now or utc_now(), "progress": _encode_progress(progress)},
    )


def end_run(
    connection: Connection,
    run_id: int,
    state: GenerationState,
    progress: StageProgress | Mapping[str, Any],
    message: str = "",
    *,
    stop_reason: StopReason | None = None,
    now: str | None = None,
) -> None:
    """Store how the run ended and, after a failure, why. The stop reason is a key of the progress JSON."""
    row = {
        "id": run_id,
        "state": str(state),
        "progress": _encode_progress(progress, stop_reason),
        "now": now or utc_now(),
        "message": clean(message)[:_MAX_TEXT_LENGTH] or None,
    }
    connection.execute(
        text("""UPDATE generation_run SET state = :state, progress = :progress, message = :message,
                beat_at = :now, ended_at = :now WHERE id = :id"""),
        row,
    )


def list_runs(connection: Connection, limit: int = 100) -> list[GenerationRunRow]:
    """Return the newest runs, newest first."""
    rows = connection.execute(
        text(f"SELECT {_COLUMNS} FROM generation_run ORDER BY id DESC LIMIT :limit"), {"limit": limit}
    )
    return [_run(row) for row in rows]


def get_run(connection: Connection, run_id: int) -> GenerationRunRow | None:
    """Return one run; None where there is no run with this id."""
    row = connection.execute(text(f"SELECT {_COLUMNS} FROM generation_run WHERE id = :id"), {"id": run_id}).first()
    return None if row is None else _run(row)


def count_outcomes(connection: Connection, recipe: str) -> list[OutcomeCount]:
    """Count the results of all items of this recipe, the most frequent first; reads all of them."""
    rows = connection.execute(
        text("""SELECT status, coalesce(reason, '') AS reason, count(*) AS items FROM generation_item
                WHERE recipe = :recipe GROUP BY 1, 2 ORDER BY items DESC, 1, 2"""),
        {"recipe": recipe},
    )
    return [OutcomeCount(row.status, row.reason, row.items) for row in rows]


def failures(
    connection: Connection,
    *,
    run_id: int | None = None,
    recipe: str | None = None,
    statuses: Sequence[ItemStatus] = _UNSUCCESSFUL,
    limit: int = 20,
) -> list[RunFailure]:
    """Return the newest items of a run or recipe without a candidate; of a run, among its newest 50,000 items."""
    if (run_id is None) == (recipe is None):
        raise ValueError("pass either run_id or recipe")
    if run_id is not None:
        among = "SELECT id FROM generation_item WHERE run_id = :owner ORDER BY id DESC LIMIT :among"
    else:
        among = "SELECT id FROM generation_item WHERE recipe = :owner"
    statement = text(f"""
        SELECT i.item, i.status, i.reason, i.detail, i.attempts, i.created_at, p.key, p.file_name, s.name AS source,
               CASE WHEN i.item LIKE 'caption/%'
                    THEN (SELECT substr(text, 1, :most) FROM caption WHERE id = CAST(substr(i.item, 9) AS INTEGER))
                    WHEN i.item LIKE 'candidate/%'
                    THEN (SELECT substr(text, 1, :most) FROM candidate WHERE id = CAST(substr(i.item, 11) AS INTEGER))
                    ELSE (SELECT substr(text, 1, :most) FROM visual_question
                          WHERE id = CAST(substr(i.item, 10) AS INTEGER))
               END AS text
        FROM (SELECT * FROM generation_item WHERE id IN ({among}) AND status IN :statuses
              ORDER BY id DESC LIMIT :limit) i
        LEFT JOIN image p ON p.id = i.image_id LEFT JOIN source s ON s.id = p.source_id ORDER BY i.id DESC
    """).bindparams(bindparam("statuses", expanding=True))
    values = {
        "owner": recipe if run_id is None else run_id,
        "statuses": [str(status) for status in statuses],
        "among": _FAILURE_SCAN_LIMIT,
        "limit": limit,
        "most": _MAX_TEXT_LENGTH,
    }
    if run_id is None:
        del values["among"]
    return [_failure(row) for row in connection.execute(statement, values)]


def _failure(row: Row[Any]) -> RunFailure:
    return RunFailure(
        item=row.item,
        status=row.status,
        reason=row.reason or "",
        detail=row.detail or "",
        picture=f"{row.source or '?'}/{row.key or '?'}",
        file_name=row.file_name or "",
        text=row.text or "",
        attempts=row.attempts,
        created_at=row.created_at,
    )


def _run(row: Row[Any]) -> GenerationRunRow:
    settings, progress = _json(row.settings), _json(row.progress)
    return GenerationRunRow(
        id=row.id,
        recipe=row.recipe,
        settings=settings if isinstance(settings, dict) else {},
        state=_state(row.state),
        host=row.host,
        pid=row.pid,
        started_at=row.started_at,
        beat_at=row.beat_at,
        ended_at=row.ended_at,
        progress=StageProgress.from_dict(progress),
        message=row.message or "",
        stop_reason=_stop_reason(progress),
    )


def _encode_progress(progress: StageProgress | Mapping[str, Any], stop_reason: StopReason | None = None) -> str:
    counts = progress.to_dict() if isinstance(progress, StageProgress) else dict(progress)
    return json.dumps(counts if stop_reason is None else {**counts, _STOP_REASON: str(stop_reason)})


def _stop_reason(progress: object) -> StopReason | None:
    code = progress.get(_STOP_REASON) if isinstance(progress, Mapping) else None
    return next((reason for reason in StopReason if reason == code), None)


def _json(encoded: str) -> object:
    try:
        return parse_json(encoded)
    except JsonError:
        return None


def _state(value: str) -> GenerationState:
    try:
        return GenerationState(value)
    except ValueError:  # a state that a newer negwb wrote
        return GenerationState.FAILED


def _seconds(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None
