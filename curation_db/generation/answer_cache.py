"""What was asked of models and what they said: the memory that lets a run go on and never pay twice.

An answer is found by its key, which is made of all that decides it. What failed is kept too, and asked again when its
item is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, TextClause, bindparam, text

from curation_db.enums import AnswerStatus, Method, Stage
from curation_db.generation.answer import ModelAnswer
from curation_db.language.sanitize import clean
from curation_db.storage.ids import utc_now

_TEXT_LIMIT = 20_000
"""Characters that are kept of what a model said."""
_DETAIL_LIMIT = 500
_KEYS = 5_000
"""Looked up at a time: SQLite takes 32,766 values in a statement."""
# fmt: off
_COLUMNS = (
    "key", "run_id", "stage", "engine", "model", "prompt", "image_id", "subject", "seed", "status", "text", "p",
    "label_mass", "method", "prompt_tokens", "completion_tokens", "cost", "latency_ms", "error", "detail", "tries",
    "simulated", "created_at",
)
# fmt: on
_STORE = f"""
    INSERT INTO generation_answer({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
    ON CONFLICT(key) DO UPDATE SET {", ".join(f"{c} = excluded.{c}" for c in _COLUMNS if c not in ("key", "tries"))},
        tries = generation_answer.tries + excluded.tries
    WHERE generation_answer.status <> 'ok'
"""
"""An answer that stands is never replaced."""
_RECALL = text("""
    SELECT key, text, p, label_mass, method, prompt_tokens, completion_tokens, latency_ms
    FROM generation_answer WHERE status = 'ok' AND key IN :keys
""").bindparams(bindparam("keys", expanding=True))
_PENDING = text("SELECT key FROM generation_answer WHERE status = 'pending' AND key IN :keys").bindparams(
    bindparam("keys", expanding=True)
)
_ASKED = text("SELECT * FROM generation_answer WHERE key = :key")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryKey:
    """What was asked, as the memory keeps it."""

    key: bytes
    """32 bytes; see `workbench.generation.engines.requests.ModelRequest.key`."""
    stage: Stage
    engine: str
    model: str
    prompt: str
    subject: str
    image_id: int | None = None
    seed: int | None = None
    simulated: bool = False


def recall(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, ModelAnswer]:
    """Of these questions, those that were answered."""
    return {
        bytes(row.key): ModelAnswer(
            text=row.text,
            p=row.p,
            label_mass=row.label_mass,
            method=Method(row.method) if row.method else None,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            latency_ms=row.latency_ms,
            tries=0,
        )
        for row in _found(connection, _RECALL, keys)
    }


def pending(connection: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Of these questions, those that are in a file for a batch farm and not answered yet."""
    return {bytes(row.key) for row in _found(connection, _PENDING, keys)}


def _found(connection: Connection, statement: TextClause, keys: Sequence[bytes]) -> Iterator[Row[Any]]:
    for start in range(0, len(keys), _KEYS):
        yield from connection.execute(statement, {"keys": list(keys[start : start + _KEYS])})


def remember(connection: Connection, run_id: int | None, told: Sequence[tuple[MemoryKey, ModelAnswer]]) -> None:
    """Keep what came back; an answer that stands already stays."""
    now = utc_now()
    rows = [_row(run_id, question, answer, _status(answer), now) for question, answer in told]
    if rows:
        connection.exec_driver_sql(_STORE, rows)


def note_pending(connection: Connection, run_id: int | None, told: Sequence[tuple[MemoryKey, Method]]) -> None:
    """Keep what goes into a file for a batch farm, and how it is asked, so that its answers find their way back."""
    now = utc_now()
    rows = [
        _row(run_id, question, ModelAnswer(tries=0, method=method), AnswerStatus.PENDING, now)
        for question, method in told
    ]
    if rows:
        connection.exec_driver_sql(_STORE, rows)


def asked(connection: Connection, key: bytes) -> Mapping[str, Any] | None:
    """The row of a question, answered or not; None: it was never asked here."""
    row = connection.execute(_ASKED, {"key": key}).one_or_none()
    return None if row is None else dict(row._mapping)


def _status(answer: ModelAnswer) -> AnswerStatus:
    return AnswerStatus.FAILED if answer.error else AnswerStatus.OK


def _row(
    run_id: int | None, question: MemoryKey, answer: ModelAnswer, status: AnswerStatus, now: str
) -> tuple[Any, ...]:
    # fmt: off
    return (
        question.key, run_id, str(question.stage), question.engine, clean(question.model), question.prompt,
        question.image_id, clean(question.subject)[:_TEXT_LIMIT], question.seed, str(status),
        clean(answer.text[:_TEXT_LIMIT]), answer.p, answer.label_mass, answer.method and str(answer.method),
        answer.prompt_tokens, answer.completion_tokens, answer.cost, answer.latency_ms, answer.error or None,
        clean(answer.detail)[:_DETAIL_LIMIT] or None, answer.tries, question.simulated, now,
    )
    # fmt: on


def keep_prompt(connection: Connection, version: str, content: str) -> None:
    """Keep a prompt set as it is, under its version: the file may change or go."""
    connection.execute(
        text("""INSERT INTO prompt_text(version, content, created_at) VALUES (:version, :content, :now)
                ON CONFLICT(version) DO NOTHING"""),
        {"version": version, "content": content, "now": utc_now()},
    )
