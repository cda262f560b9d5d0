"""Submits batch files to servers with OpenAI's batch API, follows their batches, and reads their answers.

Each step is stored before the next one begins, and a step whose outcome is unknown is looked up on the server before it
is repeated, so that a killed process pays for nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from curation_db.enums import AnswerStatus
from curation_db.generation import answer_cache
from curation_db.language.sanitize import counted, display_text
from curation_db.storage.sqlite import batches
from curation_db.storage.store import Store
from workbench.console.progress_bars import Step
from workbench.errors import UsageError
from workbench.generation.budget import BudgetReached
from workbench.generation.engines.openai.batches.batch_api import (
    BatchServer,
    BatchServerUnreachable,
    BatchStatus,
    NotOnServer,
)
from workbench.generation.engines.requests import RequestFailure
from workbench.generation.runs.batch_files import ExpectedAnswers, IngestReport, ingest_responses
from workbench.generation.runs.batch_requests import RequestFile
from workbench.generation.runs.batch_submissions import Submission, SubmissionFolder
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import plain_url

_BYTES_PER_ANSWER: Final = 1 << 16
"""Most bytes of an answer on average; log-probabilities of one token have 3 kB."""
_LEAST_DOWNLOAD_BYTES: Final = 1 << 24
_BATCH: Final = 500
Notify = Callable[[str], None]


class Servers:
    """The servers of several submissions, each opened once."""

    def __init__(self, engines: Mapping[str, EngineSettings], *, override: EngineSettings | None = None) -> None:
        """`override` is the engine of all submissions, in place of those that they name."""
        self._engines, self._override = engines, override
        self._opened: dict[str, BatchServer] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def settings(self, engine: str) -> EngineSettings:
        """Return the settings of an engine.

        Raises:
            UsageError: negwb.toml does not have it, or it is no server.
        """
        settings = self._override or self._engines.get(engine)
        if settings is None:
            raise UsageError(
                f"negwb.toml has no [engines.{engine}]", hint="name the server: --engine openai:http://HOST/v1"
            )
        if settings.kind != "openai":
            raise UsageError(
                f"the engine {settings.name} is no server: engines of kind {settings.kind} have no batches"
            )
        return settings

    def _settings_of(self, submission: Submission) -> EngineSettings:
        if submission.inline and self._override is None:
            return EngineSettings(name=submission.engine, kind="openai", url=submission.url, model=submission.model)
        return self.settings(submission.engine)

    def is_inline(self) -> bool:
        """Whether the engine of all submissions was written on the command line."""
        return self._override is not None and self._override.name not in self._engines

    async def of(self, submission: Submission) -> BatchServer:
        """Return the server of a submission.

        Raises:
            UsageError: the engine's address has changed since.
        """
        settings = self._settings_of(submission)
        if plain_url(settings.url) != submission.url:
            raise UsageError(
                f"the batch of {submission.name} is at {submission.url}, not at {plain_url(settings.url)}",
                hint=f"name its server: --engine openai:{submission.url}",
            )
        if submission.engine not in self._opened:
            self._opened[submission.engine] = await self._stack.enter_async_context(BatchServer(settings))
        return self._opened[submission.engine]


def draft_submission(
    folder: SubmissionFolder, store: Store, file: RequestFile, servers: Servers, engine: str = ""
) -> Submission | None:
    """Return the submission of a request file, new or resumed; None: all of its requests are answered.

    Args:
        engine: Name of the engine; default: the one that the requests were written for.

    Raises:
        UsageError: the requests are not of this record, are partly answered, or failed since they were written.
    """
    counts: dict[AnswerStatus, int] = {}
    engines: set[str] = set()
    with store.read() as connection:
        for (name, _, status), number in answer_cache.count_requests(connection, file.keys).items():
            engines.add(name)
            counts[status] = counts.get(status, 0) + number
    if unknown := len(file.keys) - sum(counts.values()):
        raise UsageError(
            f"{file.path}: {counted(unknown, 'request')} not of this record",
            hint="submit files in the workspace that wrote them: -w FOLDER",
        )
    earlier = folder.get(file.sha256)
    if earlier is not None:
        earlier = replace(earlier, file=str(file.path))
        if earlier.batch_id and not earlier.fetched:
            return earlier
    answered, pending = counts.get(AnswerStatus.OK, 0), counts.get(AnswerStatus.PENDING, 0)
    if answered == len(file.keys):
        return None
    if pending < len(file.keys):
        raise UsageError(
            f"{file.path}: only {pending:,} of {counted(len(file.keys), 'request')} wait for an answer",
            hint="write these to a new file: negwb generate --emit-requests FILE",
        )
    if earlier is not None:  # again: its batch processed nothing, and the same requests were written again
        return earlier.again() if earlier.fetched else earlier
    if not engine and len(engines) > 1:
        raise UsageError(f"{file.path}: written for {' and '.join(sorted(engines))}", hint="choose one: --engine NAME")
    name = engine or engines.pop()
    return Submission(
        sha256=file.sha256,
        file=str(file.path),
        engine=name,
        url=plain_url(servers.settings(name).url),
        model=file.model,
        requests=len(file.keys),
        inline=servers.is_inline(),
    )


def check_overlap(folder: SubmissionFolder, files: Sequence[tuple[RequestFile, Submission]]) -> None:
    """Check that no request is in two files or batches.

    Raises:
        UsageError: one is, and would be paid twice.
    """
    seen: dict[bytes, str] = {}
    ours = {submission.sha256 for _, submission in files}
    for other in folder.all():
        if not other.fetched and other.sha256 not in ours:
            seen.update(dict.fromkeys(folder.keys(other), other.name))
    for file, submission in files:
        if double := [seen[key] for key in file.keys if key in seen]:
            raise UsageError(
                f"{file.path}: {counted(len(double), 'request')} also in {double[0]}, and would be paid twice",
                hint=f"submit one of the files; if {double[0]} is submitted: fetch it, or cancel and fetch it",
            )
        seen.update(dict.fromkeys(file.keys, submission.name))


def affordable(
    files: Sequence[tuple[RequestFile, Submission]],
    servers: Servers,
    *,
    max_requests: int | None,
    max_cost: float | None,
) -> list[tuple[RequestFile, Submission]]:
    """Return the first files that stay within the caps; submitted ones count nothing.

    Raises:
        UsageError: an engine has no prices for `max_cost`.
    """
    requests, cost, some = 0, 0.0, []
    for file, submission in files:
        if not submission.batch_id:
            settings = servers.settings(submission.engine)
            estimate = file.estimated_cost(settings)
            if max_cost is not None and estimate is None:
                raise UsageError(
                    f"[engines.{settings.name}] has no prices, which --max-cost needs",
                    hint="set price_in and price_out per million tokens (0 if free), or use --max-requests",
                )
            requests, cost = requests + submission.requests, cost + (estimate or 0.0)
            if (max_requests is not None and requests > max_requests) or (max_cost is not None and cost > max_cost):
                break
        some.append((file, submission))
    return some


async def submit(
    folder: SubmissionFolder,
    server: BatchServer,
    file: RequestFile,
    submission: Submission,
    *,
    window: str = "24h",
    on_progress: Step = lambda name, done, total: None,
) -> Submission:
    """Upload a request file and create its batch, unless an earlier call did."""
    folder.save_keys(submission.sha256, file.keys)
    submission = folder.save(submission)
    if submission.batch_id:
        return submission
    if not submission.file_id:
        uploaded = await server.find_file(submission.upload_name)
        file_id = uploaded or await server.upload(
            file.path,
            submission.upload_name,
            partial(on_progress, f"upload {submission.name}"),
        )
        submission = folder.save(replace(submission, file_id=file_id))
    batch = await server.find_batch(submission.token, {submission.file_id})
    if batch is None:
        batch = await server.create(submission.file_id, submission.token, window)
    return folder.save(submission.with_batch(batch))


async def latest(servers: Servers, submission: Submission) -> Submission:
    """Return the submission in its present state; nothing is stored."""
    if not submission.batch_id or submission.status.ended:
        return submission
    server = await servers.of(submission)
    return submission.with_batch(await server.batch(submission.batch_id))


async def wait_until_ended(
    servers: Servers,
    submissions: Sequence[Submission],
    *,
    every: float,
    on_progress: Step = lambda name, done, total: None,
    notify: Notify = lambda line: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[Submission]:
    """Return the submissions when all of their batches have ended; a server that is down meanwhile is waited for."""
    current = list(submissions)
    while True:
        for place, submission in enumerate(current):
            try:
                current[place] = state = await latest(servers, submission)
            except BatchServerUnreachable as error:
                notify(f"{error.message}; trying again")
                continue
            on_progress(state.name, state.completed + state.failed, state.total or state.requests)
        if all(each.status.ended or not each.batch_id for each in current):
            return current
        await sleep(every)


@dataclass(slots=True)
class FetchedBatch:
    """What was read of a batch."""

    submission: Submission
    report: IngestReport = field(default_factory=IngestReport)
    answered: int = 0
    """Requests of the batch that have an answer in the record now."""
    released: int = 0
    """Requests without a response, which may be written again."""
    missing: int = 0
    """Responses that the server counts and did not send; their requests stay pending."""

    @property
    def complete(self) -> bool:
        """Whether every request of the batch is answered."""
        return self.answered == self.submission.requests

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "file": self.submission.file,
            "batch": self.submission.batch_id,
            "status": str(self.submission.status),
            "requests": self.submission.requests,
            "answered": self.answered,
            "released": self.released,
            "missing": self.missing,
            "fetched": self.submission.fetched,
            **self.report.to_dict(),
        }


async def fetch(
    folder: SubmissionFolder,
    server: BatchServer,
    store: Store,
    submission: Submission,
    engines: Mapping[str, EngineSettings],
    *,
    any_model: bool = False,
    incomplete: bool = False,
    on_progress: Step = lambda name, done, total: None,
    notify: Notify = lambda line: None,
) -> FetchedBatch:
    """Download the answers of an ended batch and store them; release the requests without a response.

    Args:
        any_model: Also store answers that name another model than the request.
        incomplete: Release requests whose answers the server counts and does not send, or another model gave.
    """
    keys = folder.keys(submission)
    paths = []
    max_bytes = max(_LEAST_DOWNLOAD_BYTES, submission.requests * _BYTES_PER_ANSWER)
    for file_id, path in zip(
        (submission.output_file, submission.error_file), folder.downloads(submission), strict=True
    ):
        if file_id and not path.exists():
            step = f"download {path.name.partition('.')[2]} of {submission.name}"
            try:
                await server.download(
                    file_id,
                    path,
                    max_bytes=max_bytes,
                    on_received=partial(on_progress, step),
                )
            except NotOnServer as error:
                if not incomplete:
                    raise
                notify(error.message)
        if path.exists():
            paths.append(path)
    expected = ExpectedAnswers(frozenset(keys), "" if any_model else submission.model)
    report = ingest_responses(store, paths, engines, expected=expected, on_progress=on_progress, notify=notify)
    fetched = FetchedBatch(submission, report)
    fetched.missing = max(0, submission.completed - len(expected.answered))
    if incomplete or not (fetched.missing or expected.of_other_models):
        fetched.released = _release(store, [key for key in keys if key not in expected.seen], submission)
        fetched.submission = folder.save(replace(submission, fetched=True))
    elif fetched.missing:
        for path in paths:
            path.unlink(missing_ok=True)  # the next call downloads it again
    with store.read() as connection:
        counts = answer_cache.count_requests(connection, keys)
    fetched.answered = sum(number for (_, _, status), number in counts.items() if status is AnswerStatus.OK)
    return fetched


def _release(store: Store, keys: Iterable[bytes], submission: Submission) -> int:
    detail = f"the batch is {submission.status} without an answer"
    if submission.status is BatchStatus.FAILED and submission.problem:
        detail = f"the batch failed: {submission.problem}"
    released = 0
    for chunk in batches(keys, _BATCH):
        with store.write() as connection:
            released += answer_cache.fail_pending(connection, chunk, RequestFailure.SERVER, detail)
    return released


def cap_error(left: int) -> BudgetReached:
    """Return the error for files that the caps do not allow."""
    return BudgetReached(
        f"the cap is reached: {counted(left, 'file')} not submitted",
        hint="submit them with the same command and a larger cap",
    )


def selected(submissions: Sequence[Submission], names: Sequence[str]) -> list[Submission]:
    """Return the submissions that are named by a request file or a batch; without names all of them.

    Raises:
        UsageError: a name is unknown.
    """
    if not names:
        return list(submissions)
    chosen: dict[str, Submission] = {}
    for name in names:
        matching = [each for each in submissions if name in {each.file, each.name, each.batch_id}]
        matching = matching or [each for each in submissions if each.name == name.rpartition("/")[2]]
        if not matching:
            raise UsageError(
                f"{display_text(name, limit=100)} was not submitted", hint="see: negwb generate batch poll"
            )
        chosen.update({each.sha256: each for each in matching})
    return list(chosen.values())
