"""Cache of model answers: it lets a run resume and never pay twice for an answer.

The key of an answer is a hash of everything that determines it. Failed requests are stored, too, and sent again when
their item is retried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, TextClause, bindparam, text

from curation_db.enums import AnswerStatus, Method, Stage
from curation_db.generation.answer import ModelAnswer
from curation_db.language.sanitize import clean
from curation_db.storage.ids import utc_now

_TEXT_LIMIT = 20_000
"""Maximum number of characters stored of a model's text."""
_DETAIL_LIMIT = 500
_KEYS_PER_QUERY = 5_000
"""SQLite takes at most 32,766 values in a statement."""
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
"""A successful answer is never replaced."""
_RECALL = text("""
    SELECT key, text, p, label_mass, method, prompt_tokens, completion_tokens, latency_ms, error, detail
    FROM generation_answer WHERE (status = 'ok' OR status = 'failed' AND error IN :errors) AND key IN :keys
""").bindparams(bindparam("keys", expanding=True), bindparam("errors", expanding=True))
_PENDING = text("SELECT key FROM generation_answer WHERE status = 'pending' AND key IN :keys").bindparams(
    bindparam("keys", expanding=True)
)
_COUNTS = text(
    "SELECT engine, model, status, count(*) AS requests FROM generation_answer WHERE key IN :keys GROUP BY 1, 2, 3"
).bindparams(bindparam("keys", expanding=True))
_FAIL_PENDING = text("""
    UPDATE generation_answer SET status = 'failed', error = :error, detail = :detail
    WHERE status = 'pending' AND key IN :keys
""").bindparams(bindparam("keys", expanding=True))
_ROW = text("SELECT * FROM generation_answer WHERE key = :key")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerKey:
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


def load_answers(
    connection: Connection, keys: Sequence[bytes], errors: Collection[str] = ()
) -> dict[bytes, ModelAnswer]:
    """Return the stored answers of those keys that were answered, or failed with one of `errors`."""
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
            error=row.error or "",
            detail=row.detail or "",
        )
        for row in _select(connection, _RECALL, keys, errors=list(errors))
    }


def pending_keys(connection: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Return those keys that are in a batch request file and not answered yet."""
    return {bytes(row.key) for row in _select(connection, _PENDING, keys)}


def _select(
    connection: Connection, statement: TextClause, keys: Sequence[bytes], **values: list[str]
) -> Iterator[Row[Any]]:
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        yield from connection.execute(statement, {"keys": list(keys[start : start + _KEYS_PER_QUERY]), **values})


def store_answers(connection: Connection, run_id: int | None, answers: Sequence[tuple[AnswerKey, ModelAnswer]]) -> None:
    """Store answers; a successful answer that is stored already stays."""
    now = utc_now()
    rows = [_row(run_id, question, answer, _status(answer), now) for question, answer in answers]
    if rows:
        connection.exec_driver_sql(_STORE, rows)


def store_pending(connection: Connection, run_id: int | None, requests: Sequence[tuple[AnswerKey, Method]]) -> None:
    """Store the requests of a batch request file and their methods, so that the batch answers can be imported."""
    now = utc_now()
    rows = [
        _row(run_id, question, ModelAnswer(tries=0, method=method), AnswerStatus.PENDING, now)
        for question, method in requests
    ]
    if rows:
        connection.exec_driver_sql(_STORE, rows)


def find_row(connection: Connection, key: bytes) -> Mapping[str, Any] | None:
    """Return the row of a request, answered or not; None: it is not in the cache."""
    row = connection.execute(_ROW, {"key": key}).one_or_none()
    return None if row is None else dict(row._mapping)


def count_requests(connection: Connection, keys: Sequence[bytes]) -> Counter[tuple[str, str, AnswerStatus]]:
    """Count those of the requests that are in the cache, by engine, model and status."""
    counts: Counter[tuple[str, str, AnswerStatus]] = Counter()
    for row in _select(connection, _COUNTS, keys):
        counts[row.engine, row.model, AnswerStatus(row.status)] += row.requests
    return counts


def fail_pending(connection: Connection, keys: Sequence[bytes], error: str, detail: str) -> int:
    """Store that the pending ones of the requests get no answer, and return their number; they can be written again.

    The number of their tries stays, since no server processed them.
    """
    failed = 0
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        some = {
            "keys": list(keys[start : start + _KEYS_PER_QUERY]),
            "error": error,
            "detail": clean(detail)[:_DETAIL_LIMIT],
        }
        failed += connection.execute(_FAIL_PENDING, some).rowcount
    return failed


def _status(answer: ModelAnswer) -> AnswerStatus:
    return AnswerStatus.FAILED if answer.error else AnswerStatus.OK


def _row(
    run_id: int | None, question: AnswerKey, answer: ModelAnswer, status: AnswerStatus, now: str
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


def store_prompt(connection: Connection, version: str, content: str) -> None:
    """Store the content of a prompt set by its version, since its file may change or be deleted."""
    connection.execute(
        text("""INSERT INTO prompt_text(version, content, created_at) VALUES (:version, :content, :now)
                ON CONFLICT(version) DO NOTHING"""),
        {"version": version, "content": content, "now": utc_now()},
    )


def stored_prompts(connection: Connection) -> list[tuple[str, str]]:
    """Return version and content of every stored prompt set."""
    return [tuple(row) for row in connection.execute(text("SELECT version, content FROM prompt_text ORDER BY version"))]
