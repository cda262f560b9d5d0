"""Batch files: open requests are written as OpenAI batch JSONL, and the responses are stored in the record.

A run with `--emit-requests` proceeds as far as the answer cache allows and writes its next requests to files, which are
all that a batch server needs. The record stores the keys of these requests, so that responses can be matched to them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from curation_db.atomic_write import sync
from curation_db.enums import AnswerStatus, Method, Stage
from curation_db.generation import answer_cache as memory
from curation_db.language.sanitize import display_text
from curation_db.storage.sqlite import batches
from curation_db.storage.store import Store
from workbench.errors import UsageError
from workbench.generation.engines.answer_identity import AnswerIdentity, RequestKind, sent_settings
from workbench.generation.engines.http.credentials import Secrets, known_secrets
from workbench.generation.engines.image_payload import ImageEncoder
from workbench.generation.engines.openai.batches.batch_lines import (
    BatchRequest,
    answering_model,
    batch_line,
    batch_method,
    custom_id,
    is_same_model,
    is_success,
    read_line,
)
from workbench.generation.engines.openai.request_rules import request_rules
from workbench.generation.engines.protocol import Engine, EngineContext, StoreAnswer
from workbench.generation.engines.registry import open_engine
from workbench.generation.engines.requests import ModelAnswer, ModelRequest, answer_format_of
from workbench.generation.runs.dispatcher import memory_key, normalised
from workbench.generation.runs.runner import AnswerPending
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import plain_url

MAX_LINES: Final = 50_000
MAX_BYTES: Final = 200_000_000
"""OpenAI's limits of a batch file: https://platform.openai.com/docs/guides/batch"""
_LONGEST_LINE: Final = 8 << 20
_BATCH: Final = 500


class BatchRequestFiles:
    """The files of an emission: one or several for each engine, so that each file names one model.

    A single file gets the name of `path`; several get names like requests-llama-001.jsonl. A file appears under its
    name when it is complete and its keys are in the record.
    """

    def __init__(
        self,
        path: Path,
        store: Store,
        *,
        max_lines: int = MAX_LINES,
        max_bytes: int = MAX_BYTES,
        again: bool = False,
        notify: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Check the path.

        Args:
            max_lines: Most requests in a file.
            max_bytes: Largest size of a file.
            again: Also write requests that are pending in an earlier file, and those that failed too often.
            notify: Prints a line about a request that is larger than `max_bytes`.

        Raises:
            UsageError: a file of that name, or a part of it, exists.
        """
        part = re.compile(rf"{re.escape(path.stem)}-[\w.-]+-\d{{3,}}{re.escape(path.suffix)}")
        existing = [path] if path.exists() else [each for each in _names(path.parent) if part.fullmatch(each.name)]
        if existing:
            raise UsageError(
                f"{min(existing)} exists", hint="use another name: the responses to its requests may be outstanding"
            )
        self._path, self._store, self.again, self._notify = path, store, again, notify
        self._max_lines, self._max_bytes = max_lines, max_bytes
        self._parts: dict[str, list[_Part]] = {}
        """By engine; the last one is being written."""
        self._written: set[bytes] = set()
        self.already_sent = 0
        """Number of requests that are pending in an earlier file."""
        self.too_large = 0
        """Number of requests that are larger than a file may be; they stay open."""

    def __enter__(self) -> BatchRequestFiles:
        draft = re.compile(rf"\.{re.escape(self._path.stem)}-[\w.-]+-\d{{3,}}{re.escape(self._path.suffix)}\.half")
        for left_over in _names(self._path.parent):  # of a killed process
            if draft.fullmatch(left_over.name):
                left_over.unlink(missing_ok=True)
        probe = self._path.with_name(f".{self._path.name}.half")
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self._all_parts():
            part.discard()

    async def open(self, settings: EngineSettings, context: EngineContext) -> Engine:
        """Open an engine that writes its requests to files; other kinds than openai answer themselves."""
        if settings.kind != "openai":
            return await open_engine(settings, context)
        if not settings.model:
            raise UsageError(
                f"[engines.{settings.name}] names no model", hint="set model = ...; a batch file needs the name"
            )
        return _BatchFileEngine(settings, context, self)

    def has(self, key: bytes) -> bool:
        """Whether the request is in these files; the prior of a concept is one request for several images."""
        return key in self._written

    def earlier(self, key: bytes) -> Mapping[str, Any] | None:
        """Return the record's row of the request; None: it was never written, or may be written again."""
        if self.again:
            return None
        with self._store.read() as connection:
            return memory.find_row(connection, key)

    def write(self, question: memory.AnswerKey, method: Method, line: str) -> None:
        """Add a request, unless it alone is larger than a file may be.

        Raises:
            NegwbError: the file cannot be written.
        """
        content = line.encode() + b"\n"
        if len(content) > self._max_bytes:
            self.too_large += 1
            name = display_text(question.subject, limit=60)
            self._notify(f"the request about {name!r} has {len(content):,} bytes: more than --max-bytes; not written")
            return
        parts = self._parts.setdefault(question.engine, [])
        try:
            if not parts or parts[-1].lines >= self._max_lines or parts[-1].size + len(content) > self._max_bytes:
                if parts:
                    parts[-1].complete()
                name = self._part_name(question.engine, len(parts) + 1)
                parts.append(_Part(self._path.with_name(f".{name}.half")))
            parts[-1].write(content, question, method)
        except OSError as error:
            raise self._unwritable(error) from error
        self._written.add(question.key)

    def finish(self, run_id: int) -> list[WrittenFile]:
        """Complete the files and return them in the order of their names; without requests there is none."""
        parts = self._all_parts()
        digits = len(str(max(map(len, self._parts.values()), default=0)))
        written = []
        try:
            for engine, ours in sorted(self._parts.items()):
                for number, part in enumerate(ours, 1):
                    name = self._path.name if len(parts) == 1 else self._part_name(engine, number, digits)
                    part.complete()
                    for chunk in batches(part.questions, _BATCH):
                        with self._store.write() as connection:
                            memory.store_pending(connection, run_id, chunk)
                    path = self._path.with_name(name)
                    part.draft.replace(path)
                    written.append(WrittenFile(path, engine, part.lines, part.size))
            if written:
                sync(self._path.absolute().parent)
        except OSError as error:
            raise self._unwritable(error) from error
        return written

    def _all_parts(self) -> list[_Part]:
        return [part for parts in self._parts.values() for part in parts]

    def _part_name(self, engine: str, number: int, digits: int = 0) -> str:
        safe = re.sub(r"[^\w.-]", "-", engine)
        return f"{self._path.stem}-{safe}-{number:0{max(3, digits)}}{self._path.suffix}"

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(f"cannot write {self._path}: {error.strerror or error}")


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A complete file of requests."""

    path: Path
    engine: str
    requests: int
    size: int
    """Bytes."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"file": str(self.path), "engine": self.engine, "requests": self.requests, "bytes": self.size}


class _Part:
    """A file that is being written under a hidden name."""

    def __init__(self, draft: Path) -> None:
        self.draft = draft
        self._file = draft.open("wb")
        self.size = 0
        self.questions: list[tuple[memory.AnswerKey, Method]] = []

    @property
    def lines(self) -> int:
        """Number of requests."""
        return len(self.questions)

    def write(self, content: bytes, question: memory.AnswerKey, method: Method) -> None:
        """Add a line."""
        self._file.write(content)
        self.size += len(content)
        self.questions.append((question, method))

    def complete(self) -> None:
        """Close the file when its content is on the disk; a second call does nothing."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def discard(self) -> None:
        """Close the file and remove it from its hidden name, unless it has its final one."""
        with suppress(OSError):  # a full disk
            self._file.close()
        self.draft.unlink(missing_ok=True)


def _names(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


class _BatchFileEngine:
    """Engine that writes its requests to batch files and answers none."""

    simulated = False
    capacity = 64

    def __init__(self, settings: EngineSettings, context: EngineContext, request_files: BatchRequestFiles) -> None:
        self._settings, self._budget, self._request_files = settings, context.budget, request_files
        self._features = context.capabilities(plain_url(settings.url), settings.model)
        self._rules = request_rules(settings, self._features)
        self._pictures = ImageEncoder(settings.picture_side, as_files=False)
        self.model = settings.model
        self._identity = AnswerIdentity.of(self, settings)

    def answer_settings(self, kind: RequestKind) -> dict[str, Any]:
        """Return the values that the engine uses in place of its settings; see `AnswerIdentity.of`."""
        method = batch_method(self._settings, self._features, has_image=kind.image) if kind.yes_no else None
        return sent_settings(self._rules, method)

    async def answer(self, group: Sequence[ModelRequest], stored: StoreAnswer) -> None:
        pending = False
        for index, request in enumerate(group):
            key = self._identity.key(request)
            if self._request_files.has(key):
                pending = True
                continue
            earlier = self._request_files.earlier(key)
            if earlier is not None and earlier["status"] == AnswerStatus.PENDING:
                self._request_files.already_sent += 1
                pending = True
                continue
            if earlier is not None and earlier["status"] == AnswerStatus.FAILED and self._given_up(earlier):
                await stored(index, ModelAnswer(error=earlier["error"], detail=earlier["detail"] or "", tries=0))
                continue
            picture = None if request.picture is None else await self._pictures.encode(request.picture, as_data=True)
            if picture is not None and picture.error:
                await stored(index, ModelAnswer(error=picture.error, detail=picture.detail, tries=0))
                continue
            self._budget.reserve()
            method = batch_method(self._settings, self._features, has_image=request.picture is not None)
            line = batch_line(request, self._settings, key=key, method=method, picture=picture, rules=self._rules)
            self._request_files.write(memory_key(request, key, self._settings.name, self), method, line)
            pending = True
        if pending:
            raise AnswerPending("the answers come from a batch server")

    def _given_up(self, row: Mapping[str, Any]) -> bool:
        """Whether the request failed so often that its item fails, as with the live engine."""
        return int(row["tries"]) >= self._settings.tries

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
    """Lines that cannot be parsed, or answer no request of this record or batch."""
    other_model: int = 0
    """Those of the refused lines that name another model."""
    cost: float = 0.0
    """By the engines' prices."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(slots=True)
class ExpectedAnswers:
    """What the responses to one batch may answer."""

    keys: frozenset[bytes]
    model: str = ""
    """Empty: any model."""
    seen: set[bytes] = field(default_factory=set)
    """Keys that the responses have, good or failed."""
    answered: set[bytes] = field(default_factory=set)
    """Keys that a model answered, the expected one or another."""
    of_other_models: set[bytes] = field(default_factory=set)
    """Keys that another model answered, which the server counts as answered."""


def ingest_responses(
    store: Store,
    paths: Iterable[Path],
    engines: Mapping[str, EngineSettings],
    *,
    expected: ExpectedAnswers | None = None,
    on_progress: Callable[[str, int, int], None] = lambda name, done, total: None,
    notify: Callable[[str], None] = lambda line: None,
) -> IngestReport:
    """Store the responses in the files at `paths`; report each refused line with file and line number.

    Args:
        expected: Refuse responses to other requests and of other models; default: any request of the record.

    Raises:
        UsageError: a file cannot be read; the responses in the files before it are stored.
    """
    report = IngestReport()
    for path in paths:
        try:
            with path.open("rb") as file:
                total = os.fstat(file.fileno()).st_size
                for batch in batches(_lines(file), _BATCH):
                    _store(store, path, batch, engines, report, expected, notify)
                    on_progress(path.name, file.tell(), total)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    return report


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers; of a line that is too long only the start, which is no valid response."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        rest = line
        while len(rest) == _LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST_LINE)
        if line.strip():
            yield number, line


def _store(
    store: Store,
    path: Path,
    batch: Sequence[tuple[int, bytes]],
    engines: Mapping[str, EngineSettings],
    report: IngestReport,
    expected: ExpectedAnswers | None,
    notify: Callable[[str], None],
) -> None:
    secrets = {name: Secrets(known_secrets(settings)) for name, settings in engines.items()}
    with store.write() as connection:
        pairs: dict[bytes, tuple[memory.AnswerKey, ModelAnswer]] = {}
        for number, line in batch:
            report.lines += 1
            key = custom_id(line)
            row = None if key is None else memory.find_row(connection, key)
            problem = _problem(line, key, row, expected, report)
            if problem or key is None or row is None:
                report.refused += 1
                notify(f"{path.name}, line {number}: {problem}")
                continue
            if row["status"] == AnswerStatus.OK or (key in pairs and not pairs[key][1].failed):
                report.known += 1
                continue
            answer = _masked(_answer(line, row, engines), secrets.get(row["engine"]))
            if expected is not None and answer.failed and row["status"] == AnswerStatus.FAILED:
                report.known += 1  # read before by a process that was killed; it does not count as another try
                continue
            if key in pairs:
                report.known += 1
                if answer.failed:
                    continue
                report.failed -= 1  # a good answer replaces the failure before it
            else:
                report.stored += 1
                report.failed += answer.failed
            report.cost += answer.cost or 0.0
            pairs[key] = _question(row), answer
        memory.store_answers(connection, None, list(pairs.values()))


def _problem(
    line: bytes,
    key: bytes | None,
    row: Mapping[str, Any] | None,
    expected: ExpectedAnswers | None,
    report: IngestReport,
) -> str:
    """Return why a response is refused; empty: it is not."""
    if key is None:
        return "not a batch response"
    if row is None:
        return f"{key.hex()[:16]}… is no request of this record"
    if expected is None:
        return ""
    if key not in expected.keys:
        return f"{key.hex()[:16]}… is no request of this batch"
    if is_success(line):
        expected.answered.add(key)
    other = answering_model(line) if expected.model else ""
    if other and not is_same_model(expected.model, other):
        report.other_model += 1
        expected.of_other_models.add(key)
        return f"answered by {display_text(other, limit=60)}, not by {display_text(expected.model, limit=60)}"
    expected.seen.add(key)
    return ""


def _answer(line: bytes, row: Mapping[str, Any], engines: Mapping[str, EngineSettings]) -> ModelAnswer:
    settings = engines.get(row["engine"]) or EngineSettings(name=row["engine"], kind="openai")
    read = read_line(
        line, BatchRequest(answer_format_of(Stage(row["stage"])), Method(row["method"] or Method.BARE)), settings
    )
    assert read is not None  # the line has a key
    return normalised(read[1])


def _masked(answer: ModelAnswer, secrets: Secrets | None) -> ModelAnswer:
    """Return the answer without the engine's secrets, which the parts of an answer may spell together."""
    if secrets is None:
        return answer
    return replace(answer, text=secrets.mask(answer.text), detail=secrets.mask(answer.detail))


def _question(row: Any) -> memory.AnswerKey:
    # fmt: off
    return memory.AnswerKey(
        key=bytes(row["key"]), stage=Stage(row["stage"]), engine=row["engine"], model=row["model"],
        prompt=row["prompt"], subject=row["subject"], image_id=row["image_id"], seed=row["seed"],
        simulated=bool(row["simulated"]),
    )
    # fmt: on
