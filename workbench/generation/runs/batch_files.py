"""Batch farms: requests out as OpenAI batch JSONL, responses back in.

A run goes as far as its memory reaches, and writes what it would have asked next; the farm's nodes need nothing but
that file. Answers find their way back by their keys, which the record keeps while they are out.
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
    """The file that requests go into; it appears when it is whole and the record knows what is in it."""

    def __init__(self, path: Path, store: Store, *, again: bool = False) -> None:
        """Nothing is written yet. `again`: what is in an earlier file that never came back goes into this one too.

        Raises:
            UsageError: the file is there already.
        """
        if path.exists():
            raise UsageError(f"{path} exists", hint="name another file: it may be out at a farm")
        self._path, self._store, self._again = path, store, again
        self._half = path.with_name(f".{path.name}.half")
        self._file: BinaryIO | None = None
        self._questions: dict[bytes, tuple[memory.AnswerKey, Method]] = {}
        self.already_sent = 0
        """Requests that are in an earlier file, whose answers have not come back."""

    def __enter__(self) -> BatchRequestFile:
        try:
            self._file = self._half.open("wb")
        except OSError as error:
            raise UsageError(f"cannot write {self._path}: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        self._half.unlink(missing_ok=True)

    async def open(self, settings: EngineSettings, context: EngineContext) -> Engine:
        """An engine whose questions go into the file; one that no farm can stand in for answers itself."""
        if settings.kind != "openai":
            return await open_engine(settings, context)
        if not settings.model:
            raise UsageError(
                f"[engines.{settings.name}] names no model", hint="a farm cannot be asked: model = ... is needed"
            )
        return _BatchFileEngine(settings, context, self)

    def has(self, key: bytes) -> bool:
        """Whether the question is in this file: several pictures may ask the same of a blank one."""
        return key in self._questions

    def is_out(self, key: bytes) -> bool:
        """Whether the question is in an earlier file."""
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
        """Put the file in its place, where there is a request in it; how many there are."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._questions:
            for some in batches(self._questions.values(), _BATCH):
                with self._store.write() as connection:
                    memory.store_pending(connection, run_id, some)
            self._half.replace(self._path)
        return len(self._questions)


class _BatchFileEngine:
    """Stands where the engine was: writes down what it is asked, and has no answer."""

    simulated = False
    capacity = 64

    def __init__(self, settings: EngineSettings, context: EngineContext, emission: BatchRequestFile) -> None:
        self._settings, self._emission = settings, emission
        self._features = context.capabilities(plain_url(settings.url), settings.model)
        self._pictures = ImageEncoder(settings.picture_side, as_files=False)
        self.model = settings.model

    async def answer(self, group: Sequence[ModelRequest], stored: StoreAnswer) -> None:
        waits = False
        for index, ask in enumerate(group):
            key = ask.key(self.model)
            if self._emission.has(key):
                waits = True
                continue
            if self._emission.is_out(key):
                self._emission.already_sent += 1
                waits = True
                continue
            picture = None if ask.picture is None else await self._pictures.show(ask.picture, as_data=True)
            if picture is not None and picture.error:
                await stored(index, ModelAnswer(error=picture.error, detail=picture.detail, tries=0))
                continue
            method = batch_method(self._settings, self._features, ask)
            line = batch_line(ask, self._settings, method=method, picture=picture)
            self._emission.write(memory_key(ask, key, self._settings.name, self), method, line)
            waits = True
        if waits:
            raise AnswerPending("the answers come from a farm")

    async def close(self) -> None:
        """Stop decoding pictures."""
        await self._pictures.close()


@dataclass(slots=True)
class IngestReport:
    """What came of a farm's responses."""

    lines: int = 0
    stored: int = 0
    failed: int = 0
    """Of those stored, answers that are none."""
    known: int = 0
    """Answered before: the first answer stands."""
    refused: int = 0
    """Lines that cannot be read, or answer nothing that was asked here."""

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
    """Store the responses in the files at `paths`; what is refused is said, with file and line.

    Raises:
        UsageError: a file cannot be read; what stood in those before it is stored.
    """
    told = IngestReport()
    for path in paths:
        try:
            with path.open("rb") as file:
                total = os.fstat(file.fileno()).st_size
                for batch in batches(_lines(file), _BATCH):
                    _store(store, path, batch, engines, told, notify)
                    on_progress(path.name, file.tell(), total)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    return told


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
    told: IngestReport,
    notify: Callable[[str], None],
) -> None:
    with store.write() as connection:
        pairs: dict[bytes, tuple[memory.AnswerKey, ModelAnswer]] = {}
        for number, line in batch:
            told.lines += 1
            key = custom_id(line)
            row = None if key is None else memory.find_row(connection, key)
            if row is None:
                told.refused += 1
                what = "no line of a batch's responses" if key is None else f"{key.hex()[:16]}… was never asked here"
                notify(f"{path.name}, line {number}: {what}")
            elif row["status"] == AnswerStatus.OK or bytes(row["key"]) in pairs:
                told.known += 1
            else:
                answer = _answer(line, row, engines)
                told.stored += 1
                told.failed += answer.failed
                pairs[bytes(row["key"])] = _question(row), answer
        memory.store_answers(connection, None, list(pairs.values()))


def _answer(line: bytes, row: Mapping[str, Any], engines: Mapping[str, EngineSettings]) -> ModelAnswer:
    settings = engines.get(row["engine"]) or EngineSettings(name=row["engine"], kind="openai")
    read = read_line(
        line, BatchRequest(answer_format_of(Stage(row["stage"])), Method(row["method"] or Method.BARE)), settings
    )
    assert read is not None  # it has a key
    return normalised(read[1])


def _question(row: Any) -> memory.AnswerKey:
    # fmt: off
    return memory.AnswerKey(
        key=bytes(row["key"]), stage=Stage(row["stage"]), engine=row["engine"], model=row["model"],
        prompt=row["prompt"], subject=row["subject"], image_id=row["image_id"], seed=row["seed"],
        simulated=bool(row["simulated"]),
    )
    # fmt: on
