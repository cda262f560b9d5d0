"""Batch files: open requests are written as OpenAI batch JSONL, and the responses are stored in the record.

A run with `--emit-requests` proceeds as far as the answer cache allows and writes its next requests to a file, which is
all that a batch server needs. The record stores the keys of these requests, so that responses can be matched to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from curation_db.enums import AnswerStatus, Method, Stage
from curation_db.generation import answer_cache as memory
from curation_db.storage.sqlite import batches
from curation_db.storage.store import Store
from workbench.errors import UsageError
from workbench.generation.engines.http.errors import plain_url
from workbench.generation.engines.image_payload import ImageEncoder
from workbench.generation.engines.openai.batch_lines import BatchRequest, batch_line, batch_method, custom_id, read_line
from workbench.generation.engines.protocol import Engine, EngineContext, StoreAnswer
from workbench.generation.engines.registry import open_engine
from workbench.generation.engines.requests import ModelAnswer, ModelRequest, answer_format_of
from workbench.generation.runs.dispatcher import memory_key, normalised
from workbench.generation.runs.runner import AnswerPending
from workbench.workspace.engine_settings import EngineSettings

_LONGEST_LINE: Final = 8 << 20
_BATCH: Final = 500


class BatchRequestFile:
    """A file of requests. It appears under its name when it is complete and its keys are in the record."""

    def __init__(self, path: Path, store: Store, *, again: bool = False) -> None:
        """Check the path; `again` also writes requests that are pending in an earlier file.

        Raises:
            UsageError: the file exists.
        """
        if path.exists():
            raise UsageError(f"{path} exists", hint="use another name: its responses may be outstanding")
        self._path, self._store, self._again = path, store, again
        self._partial = path.with_name(f".{path.name}.half")
        self._file: BinaryIO | None = None
        self._questions: dict[bytes, tuple[memory.AnswerKey, Method]] = {}
        self.already_sent = 0
        """Number of requests that are pending in an earlier file."""

    def __enter__(self) -> BatchRequestFile:
        try:
            self._file = self._partial.open("wb")
        except OSError as error:
            raise UsageError(f"cannot write {self._path}: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        self._partial.unlink(missing_ok=True)

    async def open(self, settings: EngineSettings, context: EngineContext) -> Engine:
        """Open an engine that writes its requests to the file; engines of other kinds than openai answer themselves."""
        if settings.kind != "openai":
            return await open_engine(settings, context)
        if not settings.model:
            raise UsageError(
                f"[engines.{settings.name}] names no model", hint="set model = ...; a batch file needs the name"
            )
        return _BatchFileEngine(settings, context, self)

    def has(self, key: bytes) -> bool:
        """Whether the request is in this file; the prior of a concept is one request for several images."""
        return key in self._questions

    def is_out(self, key: bytes) -> bool:
        """Whether the request is pending in an earlier file."""
        if self._again:
            return False
        with self._store.read() as connection:
            return key in memory.pending_keys(connection, [key])

    def write(self, question: memory.AnswerKey, method: Method, line: str) -> None:
        """Add a request."""
        assert self._file is not None
        self._file.write(line.encode() + b"\n")
        self._questions[question.key] = question, method

    def finish(self, run_id: int) -> int:
        """Complete the file, unless it is empty; return its number of requests."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._questions:
            for chunk in batches(self._questions.values(), _BATCH):
                with self._store.write() as connection:
                    memory.store_pending(connection, run_id, chunk)
            self._partial.replace(self._path)
        return len(self._questions)


class _BatchFileEngine:
    """Engine that writes its requests to a batch file and answers none."""

    simulated = False
    capacity = 64

    def __init__(self, settings: EngineSettings, context: EngineContext, request_file: BatchRequestFile) -> None:
        self._settings, self._request_file = settings, request_file
        self._features = context.capabilities(plain_url(settings.url), settings.model)
        self._pictures = ImageEncoder(settings.picture_side, as_files=False)
        self.model = settings.model

    async def answer(self, group: Sequence[ModelRequest], stored: StoreAnswer) -> None:
        pending = False
        for index, request in enumerate(group):
            key = request.key(self.model)
            if self._request_file.has(key):
                pending = True
                continue
            if self._request_file.is_out(key):
                self._request_file.already_sent += 1
                pending = True
                continue
            picture = None if request.picture is None else await self._pictures.encode(request.picture, as_data=True)
            if picture is not None and picture.error:
                await stored(index, ModelAnswer(error=picture.error, detail=picture.detail, tries=0))
                continue
            method = batch_method(self._settings, self._features, request)
            line = batch_line(request, self._settings, method=method, picture=picture)
            self._request_file.write(memory_key(request, key, self._settings.name, self), method, line)
            pending = True
        if pending:
            raise AnswerPending("the answers come from a batch server")

    async def close(self) -> None:
        """Stop decoding images."""
        await self._pictures.close()


@dataclass(slots=True)
class IngestReport:
    """Counts of ingested responses."""

    lines: int = 0
    stored: int = 0
    failed: int = 0
    """Failures among the stored answers."""
    known: int = 0
    """Already answered: the first answer is kept."""
    refused: int = 0
    """Lines that cannot be parsed or answer no request of this record."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def ingest_responses(
    store: Store,
    paths: Iterable[Path],
    engines: Mapping[str, EngineSettings],
    *,
    on_progress: Callable[[str, int, int], None] = lambda name, done, total: None,
    notify: Callable[[str], None] = lambda line: None,
) -> IngestReport:
    """Store the responses in the files at `paths`; report each refused line with file and line number.

    Raises:
        UsageError: a file cannot be read; the responses in the files before it are stored.
    """
    report = IngestReport()
    for path in paths:
        try:
            with path.open("rb") as file:
                total = os.fstat(file.fileno()).st_size
                for batch in batches(_lines(file), _BATCH):
                    _store(store, path, batch, engines, report, notify)
                    on_progress(path.name, file.tell(), total)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    return report


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if line.strip():
            yield number, line


def _store(
    store: Store,
    path: Path,
    batch: Sequence[tuple[int, bytes]],
    engines: Mapping[str, EngineSettings],
    report: IngestReport,
    notify: Callable[[str], None],
) -> None:
    with store.write() as connection:
        pairs: dict[bytes, tuple[memory.AnswerKey, ModelAnswer]] = {}
        for number, line in batch:
            report.lines += 1
            key = custom_id(line)
            row = None if key is None else memory.find_row(connection, key)
            if row is None:
                report.refused += 1
                problem = "not a batch response" if key is None else f"{key.hex()[:16]}… is no request of this record"
                notify(f"{path.name}, line {number}: {problem}")
            elif row["status"] == AnswerStatus.OK or bytes(row["key"]) in pairs:
                report.known += 1
            else:
                answer = _answer(line, row, engines)
                report.stored += 1
                report.failed += answer.failed
                pairs[bytes(row["key"])] = _question(row), answer
        memory.store_answers(connection, None, list(pairs.values()))


def _answer(line: bytes, row: Mapping[str, Any], engines: Mapping[str, EngineSettings]) -> ModelAnswer:
    settings = engines.get(row["engine"]) or EngineSettings(name=row["engine"], kind="openai")
    read = read_line(
        line, BatchRequest(answer_format_of(Stage(row["stage"])), Method(row["method"] or Method.BARE)), settings
    )
    assert read is not None  # the line has a key
    return normalised(read[1])


def _question(row: Any) -> memory.AnswerKey:
    # fmt: off
    return memory.AnswerKey(
        key=bytes(row["key"]), stage=Stage(row["stage"]), engine=row["engine"], model=row["model"],
        prompt=row["prompt"], subject=row["subject"], image_id=row["image_id"], seed=row["seed"],
        simulated=bool(row["simulated"]),
    )
    # fmt: on
