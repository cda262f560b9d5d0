"""Runs of `negwb generate` in the record: one row each, rewritten while it lives, and what became of its items.

A run says every second or so that it lives (`beat`). One that says it runs and no longer does is `lost`: that is told
from the row when it is read, and stored nowhere. A lost run loses nothing, the same command goes on.
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
    "RunFailure",
    "StageProgress",
    "Yield",
    "beat",
    "end_run",
    "failures",
    "get_run",
    "list_runs",
    "start_run",
    "yields",
]

BEAT_S: Final = 15.0
"""A run that has not said for so long that it lives does not."""
_COLUMNS = "id, recipe, settings, state, host, pid, started_at, beat_at, ended_at, progress, message"
_TROUBLE: Final = (ItemStatus.FAILED, ItemStatus.DROPPED)
_STOP_REASON: Final = "stop_reason"
_AMONG: Final = 50_000
"""Items of a run among which its newest failures are looked for: a look takes milliseconds however large it is."""
_MOST_LETTERS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRunRow:
    """A run as it was last heard of."""

    id: int
    recipe: str
    """Hash of the recipe."""
    settings: Mapping[str, Any]
    """What was asked for; "simulated" lists the engines that are scripts."""
    state: GenerationState
    """As it last said; see `lost`."""
    host: str
    pid: int
    started_at: str
    beat_at: str
    ended_at: str | None
    progress: StageProgress
    message: str
    stop_reason: StopReason | None = None
    """None: it did not stop early, or an older negwb wrote the row."""

    @property
    def here(self) -> bool:
        """Whether it ran, or runs, on this machine."""
        return is_local(self.host)

    @property
    def process(self) -> ProcessIdentity:
        """The process that generates."""
        return ProcessIdentity(self.host, self.pid, self.started_at)

    @property
    def lost(self) -> bool:
        """Whether it says that it runs and does not: its process here is gone, or it has been silent for too long."""
        if self.state is not GenerationState.RUNNING:
            return False
        if is_alive(self.process) is False:
            return True
        beaten = _seconds(self.beat_at)
        return beaten is None or time.time() - beaten > BEAT_S

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self.state is GenerationState.RUNNING and not self.lost


@dataclass(frozen=True, slots=True)
class Yield:
    """So many items of a recipe came to this."""

    status: str
    reason: str
    """Empty where a candidate came of them."""
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """An item of which nothing came."""

    item: str
    """caption/ID, question/ID, or candidate/ID where one was only judged."""
    status: str
    reason: str
    detail: str
    picture: str
    """source/key."""
    file_name: str
    text: str
    """Of the caption, the question or the candidate; its first 2,000 characters."""
    attempts: int
    created_at: str


def start_run(connection: Connection, *, recipe: str, settings: Mapping[str, Any], now: str | None = None) -> int:
    """Write that this process begins a run; returns its number."""
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


def beat(
    connection: Connection, run_id: int, progress: StageProgress | Mapping[str, Any], *, now: str | None = None
) -> None:
    """Write that the run lives, and how far it is."""
    connection.execute(
        text("UPDATE generation_run SET beat_at = :now, progress = :progress WHERE id = :id"),
        {"id": run_id, "now": now or utc_now(), "progress": _told(progress)},
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
    """Write how the run ended, and why where it did not end well. The stop reason is a key of the progress JSON."""
    row = {
        "id": run_id,
        "state": str(state),
        "progress": _told(progress, stop_reason),
        "now": now or utc_now(),
        "message": clean(message)[:_MOST_LETTERS] or None,
    }
    connection.execute(
        text("""UPDATE generation_run SET state = :state, progress = :progress, message = :message,
                beat_at = :now, ended_at = :now WHERE id = :id"""),
        row,
    )


def list_runs(connection: Connection, limit: int = 100) -> list[GenerationRunRow]:
    """The newest runs first."""
    rows = connection.execute(
        text(f"SELECT {_COLUMNS} FROM generation_run ORDER BY id DESC LIMIT :limit"), {"limit": limit}
    )
    return [_run(row) for row in rows]


def get_run(connection: Connection, run_id: int) -> GenerationRunRow | None:
    """One run; None: there is none of this number."""
    row = connection.execute(text(f"SELECT {_COLUMNS} FROM generation_run WHERE id = :id"), {"id": run_id}).first()
    return None if row is None else _run(row)


def yields(connection: Connection, recipe: str) -> list[Yield]:
    """What became of all items that ever went through this recipe, the most first; reads all of them."""
    rows = connection.execute(
        text("""SELECT status, coalesce(reason, '') AS reason, count(*) AS items FROM generation_item
                WHERE recipe = :recipe GROUP BY 1, 2 ORDER BY items DESC, 1, 2"""),
        {"recipe": recipe},
    )
    return [Yield(row.status, row.reason, row.items) for row in rows]


def failures(
    connection: Connection,
    *,
    run_id: int | None = None,
    recipe: str | None = None,
    statuses: Sequence[ItemStatus] = _TROUBLE,
    limit: int = 20,
) -> list[RunFailure]:
    """The newest items of a run or of a recipe of which nothing came; of a run, among its newest 50,000 items."""
    if (run_id is None) == (recipe is None):
        raise ValueError("either a run or a recipe")
    if run_id is not None:
        among = "SELECT id FROM generation_item WHERE run_id = :whose ORDER BY id DESC LIMIT :among"
    else:
        among = "SELECT id FROM generation_item WHERE recipe = :whose"
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
        "whose": recipe if run_id is None else run_id,
        "statuses": [str(status) for status in statuses],
        "among": _AMONG,
        "limit": limit,
        "most": _MOST_LETTERS,
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


def _told(progress: StageProgress | Mapping[str, Any], stop_reason: StopReason | None = None) -> str:
    counts = progress.to_dict() if isinstance(progress, StageProgress) else dict(progress)
    return json.dumps(counts if stop_reason is None else {**counts, _STOP_REASON: str(stop_reason)})


def _stop_reason(progress: object) -> StopReason | None:
    code = progress.get(_STOP_REASON) if isinstance(progress, Mapping) else None
    return next((reason for reason in StopReason if reason == code), None)


def _json(told: str) -> object:
    try:
        return parse_json(told)
    except JsonError:
        return None


def _state(told: str) -> GenerationState:
    try:
        return GenerationState(told)
    except ValueError:  # a word of a newer negwb
        return GenerationState.FAILED


def _seconds(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None
